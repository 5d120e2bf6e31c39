//! Pictures to try things on, part of the program.

/// A picture to try things on.
pub(crate) struct Example {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// Whose it is and under which licence.
    pub(crate) credit: &'static str,
    pub(crate) file: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: &'static [u8],
}

/// All of them.
pub(crate) const EXAMPLES: &[Example] = &[
    Example {
        id: "landscape",
        title: "Mountain in winter",
        credit: "Jesse Varner, edited by AzaToth, Wikimedia Commons, CC BY-SA",
        file: "landscape.jpg",
        width: 960,
        height: 640,
        bytes: include_bytes!("../../../examples/landscape.jpg"),
    },
    Example {
        id: "portrait",
        title: "Portrait",
        credit: "NASA, public domain",
        file: "portrait.jpg",
        width: 512,
        height: 512,
        bytes: include_bytes!("../../../examples/portrait.jpg"),
    },
    Example {
        id: "product",
        title: "Cup of coffee",
        credit: "Rachel Michetti, CC0",
        file: "product.jpg",
        width: 600,
        height: 400,
        bytes: include_bytes!("../../../examples/product.jpg"),
    },
    Example {
        id: "cat",
        title: "Cat",
        credit: "Stefan van der Walt, CC0",
        file: "cat.jpg",
        width: 451,
        height: 300,
        bytes: include_bytes!("../../../examples/cat.jpg"),
    },
    Example {
        id: "sketch",
        title: "Sketch of a house",
        credit: "drawn for this project, CC0",
        file: "sketch.png",
        width: 768,
        height: 512,
        bytes: include_bytes!("../../../examples/sketch.png"),
    },
];

#[cfg(test)]
mod tests {
    use imagegen_picture::{Limits, Size, decode};

    use super::*;

    #[test]
    fn examples_are_as_large_as_they_say() {
        for example in EXAMPLES {
            let decoded = decode(example.bytes, &Limits::default()).unwrap();
            let size = Size::new(example.width, example.height);
            assert_eq!(decoded.picture.size(), size, "{}", example.id);
        }
    }
}
