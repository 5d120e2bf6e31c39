"""Words of the training captions: styles, palettes, subjects, spellings.

Lists only. The grammar that joins them is in `captions`; the tokenizer keeps each word whole.
"""

from typing import NamedTuple


class StyleWords(NamedTuple):
    """How people name one style: `nouns` name it, `extras` describe what it looks like."""

    nouns: list[str]
    extras: list[str]


class SubjectRule(NamedTuple):
    """A pattern over titles and captions, and the subject phrases it allows."""

    pattern: str
    phrases: list[str]


STYLES: dict[str, StyleWords] = {
    "oil": StyleWords(
        nouns=[
            "oil painting",
            "painting in oils",
            "oil on canvas",
            "oil paint",
            "painted in oils",
            "impasto oil painting",
            "classic oil painting",
            "realistic oil painting",
            "painting",
            "thick oil paint",
            "oil colour painting",
        ],
        extras=[
            "painterly",
            "impasto",
            "brush strokes",
            "brushwork",
            "canvas texture",
            "smooth brushwork",
            "fine art",
            "old master style",
        ],
    ),
    "oil_bold": StyleWords(
        nouns=[
            "oil painting with visible brush strokes",
            "bold oil painting",
            "expressive oil painting",
            "oil painting, thick brush strokes",
            "alla prima oil painting",
            "loose oil painting",
            "oil painting",
        ],
        extras=[
            "visible brush strokes",
            "bold brush strokes",
            "thick paint",
            "heavy impasto",
            "expressionist",
            "painterly",
            "loose brushwork",
            "in the style of van Gogh",
        ],
    ),
    "impressionist": StyleWords(
        nouns=[
            "impressionist painting",
            "impressionist oil painting",
            "oil painting, impressionist style",
            "impressionism",
            "painting in the style of Monet",
            "oil painting in the style of Monet",
            "in the style of Claude Monet",
            "in the style of Renoir",
            "French impressionist painting",
            "plein air painting",
            "impressionistic painting",
            "oil painting in impressionist style",
            "Monet painting",
            "in the style of Monet",
            "impressionist style",
        ],
        extras=[
            "impressionist",
            "painterly",
            "dabs of colour",
            "broken colour",
            "loose brush strokes",
            "short brush strokes",
            "light and colour",
            "impressionism",
            "impressionist style",
            "impressionistic",
            "Monet",
            "by Monet",
            "brush strokes",
            "oil painting",
        ],
    ),
    "watercolour": StyleWords(
        nouns=[
            "watercolour",
            "watercolour painting",
            "watercolour illustration",
            "aquarelle",
            "watercolour sketch",
            "painted in watercolour",
            "in watercolours",
            "wet on wet watercolour",
            "watercolour wash",
            "watercolour art",
            "loose watercolour",
        ],
        extras=[
            "soft colours",
            "painterly",
            "soft edges",
            "paper texture",
            "washes of colour",
            "transparent washes",
            "delicate",
            "pigment",
            "watercolour paper",
            "gouache",
        ],
    ),
    "pencil": StyleWords(
        nouns=[
            "pencil sketch",
            "pencil drawing",
            "graphite drawing",
            "pencil illustration",
            "hand drawn sketch",
            "drawing in pencil",
            "graphite sketch",
            "sketch",
            "drawing",
            "black and white pencil drawing",
            "pencil art",
        ],
        extras=[
            "hatching",
            "cross hatching",
            "shading",
            "black and white",
            "monochrome",
            "hand drawn",
            "graphite",
            "paper",
            "sketchbook",
            "greyscale",
        ],
    ),
    "colour_pencil": StyleWords(
        nouns=[
            "coloured pencil drawing",
            "colour pencil sketch",
            "drawing in coloured pencils",
            "crayon drawing",
            "coloured pencil illustration",
            "coloured sketch",
            "coloured pencils",
        ],
        extras=[
            "hatching",
            "hand drawn",
            "coloured pencil",
            "crayons",
            "paper texture",
            "sketchbook",
        ],
    ),
    "comic": StyleWords(
        nouns=[
            "comic book illustration",
            "comic",
            "comic book",
            "cartoon",
            "cel shaded",
            "cel shading",
            "graphic novel illustration",
            "comic art",
            "cartoon illustration",
            "comic strip",
            "anime style",
            "vector illustration",
            "pop art",
            "illustration with bold outlines",
            "in comic style",
            "comic panel",
        ],
        extras=[
            "bold outlines",
            "flat colours",
            "black outlines",
            "inked",
            "vivid colours",
            "graphic",
            "illustration",
            "cartoon style",
            "line art",
        ],
    ),
    "pixel": StyleWords(
        nouns=[
            "pixel art",
            "8-bit pixel art",
            "retro game art",
            "pixelated",
            "8-bit",
            "video game sprite",
            "chunky pixel art",
            "pixel art illustration",
            "in pixel art style",
        ],
        extras=[
            "retro game",
            "big pixels",
            "limited palette",
            "blocky",
            "8 bit",
            "low resolution",
            "pixels",
            "video game",
        ],
    ),
    "pixel_fine": StyleWords(
        nouns=[
            "fine pixel art",
            "16-bit pixel art",
            "detailed pixel art",
            "16-bit game art",
            "16 bit",
        ],
        extras=["small pixels", "16-bit", "limited palette", "fine pixels", "retro game"],
    ),
    "charcoal": StyleWords(
        nouns=[
            "charcoal drawing",
            "charcoal sketch",
            "drawn in charcoal",
            "charcoal",
            "chalk and charcoal drawing",
            "carbon drawing",
        ],
        extras=["smudged", "black and white", "grainy", "dark tones", "monochrome", "rough paper"],
    ),
    "pastel": StyleWords(
        nouns=[
            "pastel drawing",
            "soft pastel",
            "chalk pastel",
            "pastel painting",
            "drawn in pastels",
            "oil pastel",
        ],
        extras=["chalky", "soft colours", "pastel colours", "textured paper", "painterly"],
    ),
    "ink": StyleWords(
        nouns=[
            "ink drawing",
            "pen and ink",
            "linocut",
            "woodcut print",
            "black ink",
            "stencil",
            "brush and ink",
            "ink illustration",
            "black and white print",
        ],
        extras=["black and white", "high contrast", "stark", "inked", "block print"],
    ),
    "stained": StyleWords(
        nouns=[
            "stained glass",
            "stained glass window",
            "mosaic",
            "leaded glass",
            "stained glass art",
        ],
        extras=["black leading", "coloured glass", "church window", "vivid colours", "tiles"],
    ),
    "lowpoly": StyleWords(
        nouns=[
            "low poly",
            "low poly art",
            "polygon art",
            "geometric illustration",
            "low poly render",
            "triangulated",
        ],
        extras=["triangles", "polygons", "geometric", "flat shading", "cubist", "facets"],
    ),
    "autumn": StyleWords(
        nouns=[
            "in autumn",
            "autumn",
            "in the fall",
            "autumn scene",
            "fall foliage",
            "the same scene in autumn",
            "in October",
            "autumn photo",
            "autumn colours",
            "autumn landscape",
        ],
        extras=[
            "orange leaves",
            "red and gold foliage",
            "golden leaves",
            "autumn leaves",
            "warm palette",
            "fall",
            "photo",
        ],
    ),
    "winter": StyleWords(
        nouns=[
            "in winter",
            "winter",
            "the same scene in winter",
            "covered in snow",
            "snowy scene",
            "winter scene",
            "in the snow",
            "winter photo",
            "snow",
            "in December",
            "winter landscape",
            "the same scene in winter, snow",
        ],
        extras=[
            "snow",
            "snowing",
            "falling snow",
            "snowflakes",
            "frost",
            "cold",
            "ice",
            "photo",
            "snowy",
            "white",
            "covered with snow",
        ],
    ),
    "sunset": StyleWords(
        nouns=[
            "at sunset",
            "sunset",
            "at dusk",
            "in the evening",
            "golden hour",
            "at sunrise",
            "the same scene at sunset",
            "evening light",
            "sunset photo",
        ],
        extras=[
            "orange sky",
            "warm light",
            "warm palette",
            "glowing sky",
            "dusk",
            "photo",
            "red sky",
        ],
    ),
    "night": StyleWords(
        nouns=[
            "at night",
            "night",
            "night scene",
            "by moonlight",
            "the same scene at night",
            "in the dark",
            "midnight",
            "nighttime photo",
            "at nighttime",
            "under the stars",
            "moonlit scene",
        ],
        extras=[
            "dark",
            "moonlight",
            "blue tones",
            "stars",
            "starry sky",
            "dark sky",
            "photo",
            "night sky",
        ],
    ),
    "fog": StyleWords(
        nouns=[
            "in fog",
            "foggy",
            "misty morning",
            "in the mist",
            "fog",
            "hazy day",
            "the same scene in fog",
            "misty",
        ],
        extras=["mist", "haze", "soft light", "pale colours", "atmospheric", "photo", "grey"],
    ),
    "sketch": StyleWords(
        nouns=[
            "line drawing",
            "line art",
            "line sketch",
            "outline drawing",
            "contour drawing",
            "colouring book page",
        ],
        extras=["black lines", "white background", "clean lines", "simple"],
    ),
    "photo": StyleWords(
        nouns=[
            "photo",
            "a photo",
            "photograph",
            "photorealistic",
            "realistic photo",
            "natural photo",
            "photography",
        ],
        extras=[
            "sharp",
            "detailed",
            "natural colours",
            "realistic",
            "high quality",
            "sharp focus",
            "highly detailed",
        ],
    ),
    "enhance": StyleWords(
        nouns=["photo", "a photo", "photograph", "enhanced photo", "restored photo", "clean photo"],
        extras=[
            "sharp",
            "detailed",
            "clean",
            "high quality",
            "sharp focus",
            "enhanced",
            "restored",
            "highly detailed",
            "well lit",
            "crisp",
        ],
    ),
    "bad": StyleWords(
        nouns=[
            "blurry",
            "low quality",
            "blurred photo",
            "noisy",
            "bad quality",
            "out of focus",
            "jpeg artifacts",
            "grainy",
            "worst quality",
            "blurry, low quality",
        ],
        extras=[
            "blurry",
            "low quality",
            "noise",
            "pixelated jpeg",
            "ugly",
            "bad",
            "deformed",
            "watermark",
            "text",
            "lowres",
            "distorted",
        ],
    ),
}

# First words of nouns that follow the subject ("a house in winter") instead of leading it.
FOLLOWS_SUBJECT = {"in", "at", "on", "by", "under", "the", "covered", "fall", "painted", "drawn"}

PALETTES: dict[str, list[str]] = {
    "warm": ["warm palette", "warm colours", "warm tones", "golden tones", "warm light", "warm"],
    "cool": [
        "cool palette",
        "cool colours",
        "cold colours",
        "blue tones",
        "cool tones",
        "cold light",
    ],
    "soft": [
        "soft colours",
        "muted colours",
        "muted palette",
        "pale colours",
        "soft palette",
        "pastel colours",
        "soft light",
        "delicate colours",
    ],
    "vivid": [
        "vivid colours",
        "bright colours",
        "saturated colours",
        "vibrant",
        "colourful",
        "rich colours",
        "vivid",
        "vibrant palette",
    ],
    "dark": ["dark", "moody", "low key", "dark colours", "dramatic light", "gloomy", "chiaroscuro"],
    "bright": [
        "bright",
        "high key",
        "airy",
        "light",
        "sunny",
        "luminous",
        "sunlight",
        "bright light",
    ],
    "bw": ["black and white", "monochrome", "greyscale"],
    "sepia": ["sepia", "sepia tone", "vintage sepia", "brown tones", "old photograph"],
}

# Words people add out of habit; they must not change the picture.
HARMLESS = [
    "beautiful",
    "masterpiece",
    "high quality",
    "highly detailed",
    "trending",
    "artwork",
    "art",
    "best quality",
    "professional",
    "detailed",
    "intricate",
    "4k",
    "award winning",
    "stunning",
    "high resolution",
    "portrait",
    "landscape",
    "illustration",
    "composition",
    "scene",
    "picture",
    "image",
    "style",
]

PEARS = {"anjou", "conference", "kaiser"}
APPLES = {"golden delicious", "granny smith", "pink lady", "red delicious", "royal gala"}
CLOTHES = {
    "dress": "a dress",
    "hat": "a hat",
    "longsleeve": "a long sleeved shirt",
    "outwear": "a jacket",
    "pants": "trousers",
    "shirt": "a shirt",
    "shoes": "shoes",
    "shorts": "shorts",
    "skirt": "a skirt",
    "t shirt": "a t-shirt",
}
FLOWERS = {
    "daisy": "daisies",
    "dandelion": "a dandelion",
    "rose": "roses",
    "sunflower": "a sunflower",
    "tulip": "tulips",
}
SCENE_RULES = [
    SubjectRule(
        (
            "mountain|mount |peak|summit|alp|everest|hood|jalovec|sella|flatirons|tusk|"
            "half dome|hill|yamnuska"
        ),
        ["mountains", "a mountain", "a mountain landscape", "hills"],
    ),
    SubjectRule(
        "lake|lagoon|lago|loch|reflect",
        ["a lake", "a calm lake", "water"],
    ),
    SubjectRule(
        "falls|waterfall|creek|river|spring",
        ["a waterfall", "a river", "flowing water"],
    ),
    SubjectRule(
        ("sea|beach|bay|coast|ocean|wave|surf|fakarava|neck|cliff|pier|tidal|boardwalk|malibu"),
        ["the sea", "a beach", "the coast", "waves"],
    ),
    SubjectRule(
        (
            "canyon|desert|dune|sand|vlei|sossus|acacus|erg|arch|hammer|pillars|rock|gravel|"
            "wisdom|uyuni"
        ),
        ["a desert", "rocks", "a canyon", "sand dunes"],
    ),
    SubjectRule(
        "forest|tree|woods|oak|park|fern|leaf|jamison|valley|garden|hay|field",
        ["a forest", "trees", "a park", "green nature", "a meadow"],
    ),
    SubjectRule(
        "bridge",
        ["a bridge", "a bridge over water"],
    ),
    SubjectRule(
        "railway|train",
        ["a train", "a railway"],
    ),
    SubjectRule(
        (
            "city|street|village|house|building|school|mansion|castle|amsterdam|london|baths|"
            "aqueduct|driveway|garage|church|tower|wall|mural|boat|harbour"
        ),
        ["a city", "buildings", "a street", "a house", "a village"],
    ),
    SubjectRule(
        "lighthouse",
        ["a lighthouse"],
    ),
    SubjectRule(
        "snow|winter|ice",
        ["a snowy landscape"],
    ),
    SubjectRule(
        "night|milky|star|moon",
        ["a night sky", "stars"],
    ),
    SubjectRule(
        "sunset|sunrise|dawn",
        ["a sunset"],
    ),
    SubjectRule(
        "room|kitchen|hall|store|inside|interior|stage|movies",
        ["a room", "an interior"],
    ),
    SubjectRule(
        "earth|space|rocket|planet",
        ["space", "a planet"],
    ),
    SubjectRule(
        "flower|rose",
        ["flowers"],
    ),
    SubjectRule(
        "mushroom",
        ["mushrooms"],
    ),
    SubjectRule(
        "penguin|jelly|bird|animal",
        ["an animal"],
    ),
    SubjectRule(
        "court|sport|field|baseball|tennis|football",
        ["a playing field"],
    ),
]

PAINTING_RULES = [
    SubjectRule(
        (
            r"portrait|woman|girl|man\b|madame|mrs|lady|boy|self|head of|bather|dancer|mother|"
            "child|saint|christ|virgin|madonna|king|queen|monsieur|marquise|countess"
        ),
        ["portrait", "a portrait", "a person", "a woman", "a man", "figures", "a face", "people"],
    ),
    SubjectRule(
        (
            r"landscape|seine|river|view|mountain|sea\b|beach|coast|valley|garden|stack|wheat|"
            "water lil|boat|cliff|bay|road|forest|tree|field|bridge|snow|village|harbor|"
            "heather|thames|giverny|departure|wooded|cottage"
        ),
        ["landscape", "a landscape", "trees and water", "the countryside", "nature"],
    ),
    SubjectRule(
        "still life|flower|chrysanth|apple|fruit|vase|bouquet|basket|peonies|roses",
        ["still life", "a still life", "flowers", "fruit"],
    ),
    SubjectRule(
        "street|place|city|paris|canal|venice|church|interior|room|bedroom|house",
        ["a street", "a city", "a room", "buildings"],
    ),
]

OUTDOOR = ["a landscape", "a scene", "nature", "an outdoor scene", "scenery", "a place"]

# Applied in turn to the whole caption, so longer words stand before the words they contain.
AMERICAN_SPELLINGS = [
    ("watercolour", "watercolor"),
    ("coloured", "colored"),
    ("colouring", "coloring"),
    ("colourful", "colorful"),
    ("colours", "colors"),
    ("colour", "color"),
    ("grey", "gray"),
]
