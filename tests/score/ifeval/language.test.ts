/** The language of a text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { languageOf } from '../../../nanoeval/score/ifeval/language.ts';

test('languages of many scripts, and of one', () => {
  const texts = {
    en: 'people stayed at home for the whole winter',
    de: 'die leute blieben den ganzen winter zu hause',
    it: 'la gente è rimasta a casa per tutto l’inverno',
    fi: 'ihmiset pysyivät kotona koko talven ajan',
    ru: 'мы живём в большом доме и очень любим читать книги',
    bg: 'хората стояха вкъщи през цялата зима',
    hi: 'लोग पूरी सर्दी घर में रहे और बाहर नहीं गए',
    mr: 'लोक संपूर्ण हिवाळ्यात घरीच राहिले आणि बाहेर गेले नाहीत',
    ar: 'بقي الناس في المنزل طوال فصل الشتاء',
    ur: 'لوگ پوری سردیوں میں گھر پر رہے اور باہر نہیں نکلے',
    fa: 'مردم تمام زمستان را در خانه ماندند و بیرون نرفتند',
    th: 'ผู้คนอยู่บ้านตลอดฤดูหนาว',
    ko: '사람들은 겨울 내내 집에 있었다',
    ja: '人々は冬の間ずっと家にいました',
  };
  for (const [code, text] of Object.entries(texts)) assert.equal(languageOf(text), code, text);
});

test('Latin letters in a text of others do not count, nor do addresses; decomposed letters are composed ones', () => {
  assert.equal(languageOf('мы живём в большом доме и очень любим читать книги (people at home)'), 'ru');
  assert.equal(languageOf('die leute https://the-people.of.the/winter zu hause'), 'de');
  const vietnamese = 'người dân trong làng ở nhà suốt mùa đông';
  assert.equal(languageOf(vietnamese), 'vi');
  assert.equal(languageOf(vietnamese.normalize('NFD')), 'vi');
});

test('without letters nobody can tell; the answer is the same each time', () => {
  for (const text of ['', ' ', '123, 456!', '👍🏽', 'https://a.b/c']) assert.equal(languageOf(text), null, text);
  const mixed = 'people stayed at home. die leute blieben zu hause';
  assert.equal(new Set(Array.from({ length: 5 }, () => languageOf(mixed))).size, 1);
});

test('what may not be read as a run of a profile: names that every object has', () => {
  assert.equal(languageOf('constructor toString valueOf of the people at home'), 'en');
});
