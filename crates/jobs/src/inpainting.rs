//! What an inpainting changes, as it is ordered, and the request that comes of it.

use imagegen::{
    Edge, Expand, Inpaint, MaskRequest, OtherSize, Rect, Settings, Size, Source, Strength,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::named::{quoted, read};

/// What an inpainting changes and how. `None` takes the intent's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inpainting {
    /// What is wanted: `change`, `fill`, `replace-background`, `add`, `remove` or `refine`.
    pub intent: Option<String>,
    /// What the model starts from under the mask: `original`, `fill`, `patches`, `noise` or `nothing`; `None` is
    /// `patches` where `expand` alone says what changes.
    pub content: Option<String>,
    /// What the model sees: `whole` or `masked`.
    pub area: Option<String>,
    /// What is added around the picture: `left=128,top=64`.
    pub expand: Option<String>,
    /// Pixels around the masked part that the model sees.
    pub padding: Option<u32>,
    /// Pixels by which more than the mask is denoised.
    pub wide: Option<u32>,
    /// Pixels inside the edge over which detail changes over.
    pub band: Option<u32>,
    /// Pixels outside the edge on which colours are matched.
    pub ring: Option<u32>,
    /// SHA-256 of the mask picture, which is put as sources are.
    pub mask: Option<String>,
    /// Whether a mask picture of another size is resized.
    pub fit_mask: bool,
    /// Boxes to change: column, row, width, height, in the source's pixels.
    pub boxes: Vec<[u32; 4]>,
    /// Colours to change: `#00ff00:24`.
    pub colours: Vec<String>,
    /// Parts to change: `faces`, `subject`, `background` or `transparent`.
    pub only: Vec<String>,
    /// Parts to keep.
    pub protect: Vec<String>,
    /// Whether what is named is kept and the rest changes.
    pub invert: bool,
    /// Pixels to grow the mask by; shrinks below 0.
    pub grow: i32,
    /// Pixels over which the mask's edge is soft.
    pub feather: u32,
}

/// Most boxes, colours and parts of one mask, each.
const MOST: usize = 64;

impl Inpainting {
    /// The request on `source`, with the mask picture `mask` where one is named.
    ///
    /// Fails with [`Error::Value`] by the name of the field.
    pub(crate) fn request<'a>(
        &self,
        source: &'a Source,
        mask: Option<&'a Source>,
        strength: Strength,
        settings: Settings,
    ) -> Result<Inpaint<'a>, Error> {
        let expand = read("expand", self.expand.as_deref(), "such as left=128,top=64")?;
        Ok(Inpaint {
            source,
            mask: self.mask(mask)?,
            expand: expand.unwrap_or_else(Expand::default),
            intent: self.intent()?,
            strength: Some(strength),
            content: read(
                "content",
                self.content.as_deref(),
                "original, fill, patches, noise or nothing",
            )?,
            area: read("area", self.area.as_deref(), "whole or masked")?,
            edge: Edge {
                padding: self.padding,
                wide: self.wide,
                band: self.band,
                ring: self.ring,
            },
            settings,
        })
    }

    /// What is wanted.
    ///
    /// Fails with [`Error::Value`] for names of no intent.
    pub(crate) fn intent(&self) -> Result<imagegen::Intent, Error> {
        let expected = "change, fill, replace-background, add, remove or refine";
        Ok(read("intent", self.intent.as_deref(), expected)?.unwrap_or_default())
    }

    fn mask<'a>(&self, picture: Option<&'a Source>) -> Result<MaskRequest<'a>, Error> {
        for (field, count) in [
            ("boxes", self.boxes.len()),
            ("colours", self.colours.len()),
            ("only", self.only.len()),
            ("protect", self.protect.len()),
        ] {
            if count > MOST {
                return Err(Error::value(
                    field,
                    format!("{count} items"),
                    format!("at most {MOST}"),
                ));
            }
        }
        for (field, pixels) in [
            ("grow", self.grow.unsigned_abs()),
            ("feather", self.feather),
        ] {
            if pixels > 1024 {
                return Err(Error::value(field, pixels, "at most 1024 pixels"));
            }
        }
        let rect = |&[x, y, width, height]: &[u32; 4]| Rect {
            x,
            y,
            size: Size::new(width, height),
        };
        let regions = "faces, subject, background or transparent";
        Ok(MaskRequest {
            picture,
            other_size: if self.fit_mask {
                OtherSize::Fit
            } else {
                OtherSize::Refuse
            },
            boxes: self.boxes.iter().map(rect).collect(),
            colours: all("colours", &self.colours, "#rrggbb or #rrggbb:tolerance")?,
            only: all("only", &self.only, regions)?,
            protect: all("protect", &self.protect, regions)?,
            invert: self.invert,
            grow: self.grow,
            feather: self.feather,
        })
    }
}

fn all<T: std::str::FromStr>(
    field: &'static str,
    texts: &[String],
    expected: &str,
) -> Result<Vec<T>, Error> {
    let read = |text: &String| {
        text.parse()
            .map_err(|_| Error::value(field, quoted(text), expected))
    };
    texts.iter().map(read).collect()
}
