/** Pictures to show: files of a folder, or such as MMMU-Pro has, made here. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { seeded } from './rows.ts';

/** Sizes of some of MMMU-Pro's pictures: photographs, diagrams, columns of text, slides. */
const SIZES: [width: number, height: number, format: 'png' | 'jpeg'][] = [
  [1000, 667, 'jpeg'],
  [640, 480, 'png'],
  [300, 900, 'png'],
  [177, 198, 'png'],
  [1600, 900, 'jpeg'],
  [512, 512, 'png'],
];

/** A shaded ground with noise, slanted lines, and rows of dark strokes about as dense as print. */
async function draw(place: number): Promise<Uint8Array> {
  const [width, height, format] = SIZES[place % SIZES.length]!;
  const random = seeded(place + 1);
  const data = Buffer.alloc(width * height * 3);
  const [slope, gap] = [0.2 + random(), 30 + Math.floor(60 * random())];
  for (let y = 0; y < height; y += 1) {
    const lineOfText = y % 16 < 9 && y > height / 4 && y < (3 * height) / 4;
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * 3;
      const onLine = Math.floor(x * slope + y) % gap === 0;
      const stroke = lineOfText && x > width / 8 && x < (7 * width) / 8 && ((x * 7919) ^ (y >> 4)) % 5 < 2;
      const noise = 16 * random();
      for (let c = 0; c < 3; c += 1) {
        const ground = 120 + 80 * Math.sin((x * (c + 1)) / width + (3 * y) / height);
        data[at + c] = stroke ? 30 + noise : onLine ? 60 * c : ground + noise;
      }
    }
  }
  const picture = sharp(data, { raw: { width, height, channels: 3 } });
  return new Uint8Array(await (format === 'png' ? picture.png() : picture.jpeg({ quality: 90 })).toBuffer());
}

/** Picture files: the first `count` of a folder by name, or all of it; without a folder, `count` made ones. */
export async function picturePaths(
  folder: string | undefined,
  count: number | undefined,
  writeTo: string,
): Promise<string[]> {
  if (folder !== undefined) {
    const names = readdirSync(folder)
      .filter((name) => /\.(gif|jpe?g|png|webp)$/i.test(name))
      .sort();
    return names.slice(0, count).map((name) => join(folder, name));
  }
  const paths: string[] = [];
  for (let i = 0; i < (count ?? SIZES.length); i += 1) {
    const [width, height, format] = SIZES[i % SIZES.length]!;
    const path = join(writeTo, `${String(i).padStart(3, '0')}_${width}x${height}.${format}`);
    writeFileSync(path, await draw(i));
    paths.push(path);
  }
  return paths;
}
