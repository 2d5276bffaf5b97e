// Characters that are not to be seen, or turn the direction of what is around them:
// controls, bidi controls, zero-width and tag characters, lone surrogates.
export const odd =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu

// plain writes foreign text where there is no markup: titles, names of dialogs.
export const plain = (s: string, most = 80) => (s.length > most ? s.slice(0, most) + '…' : s).replace(odd, '\ufffd')
