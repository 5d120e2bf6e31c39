"""Texts that a tokenizer must cut as the reference does: hand-picked ones and combinations from a fixed seed.

Knows nothing of tokenizers. Escapes are used where an editor would hide or change what is there.
"""
import random

SEED = 77
COUNT = 400

SUBJECTS = (
    "a lighthouse on a cliff", "two cats asleep on a red sofa", "portrait of an old fisherman", "a bowl of oranges",
    "the harbour of Lisbon", "a foggy pine forest", "a bicycle leaning against a wall", "snow-covered mountains", "an empty street at 3am",
    "a coffee cup on a wooden table", "wild horses running", "a Victorian greenhouse",
)
STYLES = (
    "oil painting, impressionist style", "watercolour on rough paper", "pencil sketch", "pixel art, 16-bit", "comic book, bold outlines",
    "in the style of Claude Monet", "ukiyo-e woodblock print", "charcoal drawing", "low-poly 3D render", "35mm film photo, f/1.8",
    "stained glass", "art deco poster",
)
DETAILS = (
    "warm palette", "golden hour", "soft, diffuse light", "highly detailed", "8k, trending on artstation", "muted colours", "autumn leaves",
    "by night, under street lamps", "thick brush strokes", "no people", "rule of thirds", "heavy rain",
)

PLAIN = (
    "", "a", "cat", "Cat", "CAT", "cAt", "photo of a cat", "Photo Of A Cat", "PHOTO OF A CAT!!!", "A photo.", "photo,of,a,cat",
    "oil painting, impressionist style, warm palette", "blurry, low contrast, watermark, text, signature", "make it winter",
    "turn the sky into a sunset", "colour", "color", "grey gray", "supercalifragilisticexpialidocious", "antidisestablishmentarianism",
    "asdfghjkl qwertyuiop zxcvbnm", "the the the the", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "AaAaAaAa", "xkcd.com", "hello world",
    "state-of-the-art", "mother-in-law", "rock'n'roll", "e-mail: someone@example.com", "https://example.com/a?b=c&d=%20#frag",
    "C:\\pictures\\cat.png", "/usr/share/pictures/cat.png", "snake_case_name", "camelCaseName", "kebab-case-name", "#hashtag @mention",
    "(masterpiece:1.2), [ugly], {best quality}", "((very beautiful))", "<lora:style:0.8> a house", "cat|dog", "cat AND dog", "a:b::c",
)
CONTRACTIONS = (
    "it's", "IT'S", "It's a dog's life", "they're", "we've", "I'm", "I'M", "he'll", "she'd", "don't", "DON'T", "can't won't shouldn't",
    "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "s's", "''s", "'sun", "'tis", "'twas the night", "'received", "'velvet", "'llama", "'dark",
    "y'all'd've", "o'clock", "dogs' bowls", "it\u2019s", "they\u2019re", "don\u2018t", "rock \u2019n\u2019 roll", "'S", "'RE", "' s",
)
NUMBERS = (
    "1", "12", "123", "2024", "1,000,000", "3.14159", "-42", "1e-5", "50%", "$9.99", "\u20ac20", "4k", "16:9", "1920x1080", "f/2.8", "24-70mm",
    "0x1F", "1st 2nd 3rd", "10\u00b0C", "5'11\"", "007", "1/2", "\u00bd cup", "x\u00b2 + y\u00b3", "\u2167", "\u2460\u2461\u2462", "\u0661\u0662\u0663",
    "\u0967\u0968\u0969", "\uff11\uff12\uff13", "\u4e00\u4e8c\u4e09", "12am3pm", "a1b2c3", "\u00b9\u2070\u2080",
)
PUNCTUATION = (
    "!", "!!", "!!!", "...", "\u2026", "?!", ",,,", ";:", "--", "---", "\u2013", "\u2014", "a\u2014b", "\"quoted\"", "\u201cquoted\u201d", "\u00abquoted\u00bb",
    "*bold* _italic_ ~struck~", "`code`", "a+b=c", "x < y > z", "a & b", "^_^", ":-)", "<3", "->", "=>", "$%^&*()", "[]{}()<>", "\\", "\\n", "/",
    "|", "~", "@@", "##", "a.b.c", "a , b . c", "!a", "a!", " !", "! ", "\u00a7\u00b6\u2020\u2021", "\u2190\u2191\u2192\u2193", "\u2200x\u2203y", "\u2605\u2606",
    "\u266b", "\u2122\u00ae\u00a9", "\u00d7\u00f7", "\u00bf\u00a1", "\u3001\u3002\u300c\u300d",
)
BLANKS = (
    " ", "  ", "\n", "\t", "\r\n", " a", "a ", "  a  ", "a  b", "a   b    c", "a\tb", "a\nb", "a\r\nb", "a\n\n\nb", "\ta\t", "\n a \n", "a \t \n b",
    "a\u00a0b", "a\u3000b", "a\u2009b", "a\u2028b", "a\u2029b", "a\u0085b", "a\u000bb", "a\u000cb", "a\u1680b", "a\u202fb", "a\u205fb", "\u3000",
    "a\u200bb", "a\u200cb", "a\u200db", "a\u2060b", "\ufeffa", "a\ufeffb", "a\u00adb", "a\u180eb", "a\u001cb", "a\u001fb", " , ", "oil  painting ,\n\nwarm",
)
CONTROLS = (
    "a\u0000b", "\u0000", "a\u0007b", "\u001b[31mred\u001b[0m", "a\u007fb", "a\u0080b", "a\u009fb", "\u0001\u0002\u0003", "a\u200eb", "a\u200fb",
    "\u202eabc\u202c", "\u2066a\u2069", "\ufffd", "\ufffe", "\uffff", "\ue000", "\U0010ffff", "\U000e0041", "\u0378",
)
ACCENTS = (
    "caf\u00e9", "cafe\u0301", "CAF\u00c9", "CAFE\u0301", "na\u00efve", "nai\u0308ve", "\u00c5ngstr\u00f6m", "\u212bngstro\u0308m", "fa\u00e7ade", "pi\u00f1ata",
    "sm\u00f6rg\u00e5sbord", "\u0141\u00f3d\u017a", "D\u0159evo", "\u00cele-de-France", "stra\u00dfe", "STRASSE", "STRA\u1e9eE", "\u0130stanbul", "\u0131stanbul",
    "I\u0307", "\u00c6sir \u00f8re", "\u0152uvre", "\ufb01ne \ufb02our", "\uff26\uff55\uff4c\uff4c\uff57\uff49\uff44\uff54\uff48", "\u01c4 \u01c5 \u01c6", "\u1e69",
    "s\u0323\u0307", "s\u0307\u0323", "\u0301", " \u0301a", "a\u0301\u0302\u0303\u0304\u0305\u0306", "Z\u0351\u036b\u0343a\u0310\u030al\u0348\u0351go\u0321",
    "\u212a\u2126", "\u2460\u20dd", "\u00aa\u00ba", "Vi\u1ec7t Nam", "Vie\u0323\u0302t Nam",
)
SCRIPTS = (
    "\u732b\u306e\u5199\u771f", "\u6cb9\u5f69\u753b", "\u0e20\u0e32\u0e1e\u0e27\u0e32\u0e14", "\uace0\uc591\uc774", "\u1100\u1169\u110b\u1163\u11bc\u110b\u1175", "\u30ab\u30bf\u30ab\u30ca",
    "\u304b\u3099", "\uff76\uff9e", "\u30fc", "\u0440\u0438\u0441\u0443\u043d\u043e\u043a \u043a\u043e\u0448\u043a\u0438", "\u041c\u041e\u0421\u041a\u0412\u0410", "\u0439", "\u0438\u0306",
    "\u03b3\u03ac\u03c4\u03b1", "\u039f\u0394\u039f\u03a3", "\u03a3\u03a3\u03a3", "\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u0645\u0631\u062d\u0628\u0627",
    "\u0642\u0650\u0637\u064e\u0651\u0629", "\ufefb", "cat \u0642\u0637 cat", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u1019\u103c\u1014\u103a\u1019\u102c",
    "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8", "\u1c90\u1c91", "\u0531\u0561", "\u13a0\uab70", "\U00020000\U0002a6d6", "\U0001d4d0\U0001d4d1", "\U00010400\U00010428", "\u4e2dcat\u6587", "cat\u732bcat",
    "\uf900", "\u2f00",
)
EMOJI = (
    "\U0001f600", "\U0001f600\U0001f600", "a \U0001f431 cat", "cat\U0001f431", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd", "\u2764\ufe0f", "\u2764",
    "\U0001f1f5\U0001f1f9", "1\ufe0f\u20e3", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001f3f3\ufe0f\u200d\U0001f308", "\u263a\ufe0e", "\U0001fae0",
    "\U0001f9d1\U0001f3fb\u200d\U0001f3a8 painter", "\u2600\ufe0fsun\u2600\ufe0f", "\U0001f44d'\U0001f44d",
)
MARKUP = (
    "&amp;", "a &amp; b", "&lt;b&gt;", "&quot;x&quot;", "&#39;", "it&#39;s", "&nbsp;", "&amp;amp;", "&eacute;", "&#x1F600;", "<b>bold</b>", "<br/>", "<!-- x -->", "&", "&;",
)
SPECIAL = (
    "<|endoftext|>", "<|startoftext|>", "a<|endoftext|>b", "a <|endoftext|> b", "<|endoftext|><|endoftext|>", "<|startoftext|>cat<|endoftext|>", "<|ENDOFTEXT|>",
    "<|EndOfText|>", "<|endoftext|", "|endoftext|>", "< |endoftext| >", "<|endoftext |>", "<|endoftext|>'s", "'<|endoftext|>", "cat<|endoftext|>\n\n cat", "endoftext", "<|>", "</w>",
    "cat</w>", "<w>", "<pad>", "[PAD]", "<unk>", "cat  <|endoftext|>  dog", "<|endoftext|>\U0001f600", "\u00e9<|startoftext|>e\u0301",
)
LONG = (
    "a " * 100, "cat, " * 60, "!" * 120, "a" * 300, "0123456789" * 20, "word\n" * 90, "\U0001f600" * 40, "\u732b" * 80, "oil painting " * 37 + "end",
    " ".join(f"{subject}, {style}" for subject, style in zip(SUBJECTS, STYLES)), "supercalifragilistic" * 12, " " * 500 + "a",
)

HAND_PICKED = PLAIN + CONTRACTIONS + NUMBERS + PUNCTUATION + BLANKS + CONTROLS + ACCENTS + SCRIPTS + EMOJI + MARKUP + SPECIAL + LONG


def texts():
    """At least COUNT texts, each once: the hand-picked ones, prompts made of the lists above, and jumbles of fragments."""
    pick = random.Random(SEED)
    chosen = list(dict.fromkeys(HAND_PICKED))
    while len(chosen) < COUNT + 60:
        prompt = f"{pick.choice(SUBJECTS)}, {pick.choice(STYLES)}, {pick.choice(DETAILS)}"
        prompt = pick.choice((str, str, str.upper, str.title, str.capitalize))(prompt)
        chosen += [prompt] if prompt not in chosen else []
    while len(chosen) < COUNT + 130:
        pieces = [piece for piece in pick.sample(HAND_PICKED[:-len(LONG)], pick.randint(2, 6))]
        jumble = pick.choice(("", " ", "  ", ", ", "\n")).join(pieces)
        chosen += [jumble] if jumble not in chosen else []
    return chosen


def texts_to_truncate():
    """Texts on both sides of 75 tokens between begin and end."""
    return ["", "a cat", *("a " * count for count in (74, 75, 76, 77, 200)), *LONG, "a " * 75 + "<|endoftext|>", "<|endoftext|>" * 80]


def many_texts(count):
    """`count` different texts for a full vocabulary: prompts, random letters of every plane, numbers, markup and pieces of all of them."""
    pick, chosen = random.Random(SEED + 1), dict.fromkeys(texts())
    planes = ((0x20, 0x7e), (0xa0, 0x24f), (0x370, 0x5ff), (0x900, 0x97f), (0x2000, 0x27bf), (0x3040, 0x30ff), (0x4e00, 0x9fff), (0x1f300, 0x1faff))

    def letters():
        plane = pick.choice(planes)
        return "".join(chr(pick.randint(*plane)) for _ in range(pick.randint(1, 9)))

    def word():
        return pick.choice((
            lambda: pick.choice(pick.choice((SUBJECTS, STYLES, DETAILS))).split(" ")[-1],
            letters,
            lambda: str(pick.randint(0, 10 ** pick.randint(1, 6))),
            lambda: pick.choice(pick.choice((MARKUP, EMOJI, CONTRACTIONS, PUNCTUATION, ACCENTS))),
            lambda: "".join(pick.choice("etaoinshrdlu") for _ in range(pick.randint(1, 12))),
        ))()

    while len(chosen) < count:
        joined = pick.choice((" ", " ", ", ", "", "-")).join(word() for _ in range(pick.randint(1, 7)))
        chosen[pick.choice((str, str, str.upper, str.title))(joined)] = None
    return [text for text in chosen if not any(0xd800 <= ord(letter) <= 0xdfff for letter in text)]
