/** What all charts share: colours, font, and how their titles are set. */
export const INK = '#1f2933';
export const SOFT_INK = '#52606d';
export const GRID = '#e4e7eb';

/** SVG viewers without Inter take the next; text is measured in Inter, which is wider than both Arials. */
export const FONT_FAMILY = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif";

/** Pixels. */
export const TITLE_SIZE = 16;
export const SUBTITLE_SIZE = 12;

/** `config.title` of a Vega-Lite spec. */
export const TITLE_CONFIG = {
  fontSize: TITLE_SIZE,
  fontWeight: 600,
  color: INK,
  subtitleFontSize: SUBTITLE_SIZE,
  subtitleColor: SOFT_INK,
  subtitleLineHeight: 17,
  lineHeight: 21,
} as const;

/** White around the figure. */
export const PADDING = { left: 20, right: 20, top: 16, bottom: 16 };

/** Where the title lines stand: at the left of everything that is drawn. */
export const TITLE_PLACE = { anchor: 'start', frame: 'bounds', offset: 14, subtitlePadding: 6 } as const;
