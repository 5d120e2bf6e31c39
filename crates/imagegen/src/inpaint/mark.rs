//! Inpainting as recipes carry it: everything that decides the pixels, resolved.

use imagegen_picture::mask::Mask;
use imagegen_picture::{Rect, Size};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Area, Edge, Expand, Inpaint, Intent};
use crate::recipe::SourceMark;
use crate::request::hex;
use crate::{Error, MaskRequest, OtherSize, Region, Settings, Source};

/// How a part was repainted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InpaintMark {
    /// What was wanted.
    pub intent: String,
    /// What the model started from under the mask.
    pub content: String,
    /// What the model saw: `whole` or `masked`.
    pub area: String,
    /// Pixels around the masked part that it saw.
    pub padding: u32,
    /// Pixels by which more than the mask was denoised.
    pub wide: u32,
    /// Pixels inside the edge over which detail changes over.
    pub band: u32,
    /// Pixels outside the edge on which colours were matched.
    pub ring: u32,
    /// What was added around the picture: `left=128,top=64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expand: Option<String>,
    /// The mask.
    pub mask: MaskMark,
}

/// What a mask was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskMark {
    /// The mask picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<SourceMark>,
    /// Whether it was brought to the source's size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fit: bool,
    /// Boxes: column, row, width, height.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<[u32; 4]>,
    /// Colours: `#00ff00:24`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub colours: Vec<String>,
    /// Regions that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Regions that are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protect: Vec<String>,
    /// Whether what is named is kept instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
    /// Pixels to grow by, below 0 to shrink.
    #[serde(default, skip_serializing_if = "is_0")]
    pub grow: i32,
    /// Pixels over which the edge is soft.
    #[serde(default, skip_serializing_if = "is_none")]
    pub feather: u32,
    /// SHA-256 of the coverage that came of it, row by row.
    pub sha256: String,
}

fn is_0(number: &i32) -> bool {
    *number == 0
}

fn is_none(pixels: &u32) -> bool {
    *pixels == 0
}

impl MaskMark {
    pub(super) fn of(request: &MaskRequest<'_>, mask: &Mask) -> Self {
        let names = |regions: &[Region]| regions.iter().map(|r| r.name().to_owned()).collect();
        let sides = |rect: &Rect| [rect.x, rect.y, rect.size.width, rect.size.height];
        Self {
            picture: request.picture.map(SourceMark::of),
            fit: request.other_size == OtherSize::Fit,
            boxes: request.boxes.iter().map(sides).collect(),
            colours: request.colours.iter().map(ToString::to_string).collect(),
            only: names(&request.only),
            protect: names(&request.protect),
            invert: request.invert,
            grow: request.grow,
            feather: request.feather,
            sha256: hex(&Sha256::digest(mask.coverage())),
        }
    }

    fn request<'a>(&self, picture: Option<&'a Source>) -> Result<MaskRequest<'a>, Error> {
        let hash = |hash: Option<&str>| hash.unwrap_or("none").to_owned();
        let recorded = self.picture.as_ref().map(|mark| mark.sha256.as_str());
        let given = picture.map(|picture| picture.sha256.as_str());
        if recorded != given {
            return Err(Error::setting("mask sha256", hash(given), hash(recorded)));
        }
        let rect = |&[x, y, width, height]: &[u32; 4]| Rect {
            x,
            y,
            size: Size::new(width, height),
        };
        let regions = |names: &[String]| -> Result<Vec<Region>, Error> {
            names.iter().map(|name| name.parse()).collect()
        };
        let colour = |text: &String| {
            let read = text.parse();
            read.map_err(|_| Error::setting("recipe field \"colours\"", text, "#rrggbb:tolerance"))
        };
        Ok(MaskRequest {
            picture,
            other_size: if self.fit {
                OtherSize::Fit
            } else {
                OtherSize::Refuse
            },
            boxes: self.boxes.iter().map(rect).collect(),
            colours: self.colours.iter().map(colour).collect::<Result<_, _>>()?,
            only: regions(&self.only)?,
            protect: regions(&self.protect)?,
            invert: self.invert,
            grow: self.grow,
            feather: self.feather,
        })
    }
}

impl InpaintMark {
    /// The request that this records, on `source` with the mask picture `mask`.
    ///
    /// Fails with [`Error::Setting`] where a field has a value this program does not know or `mask` is not
    /// the recorded one.
    pub(crate) fn request<'a>(
        &self,
        source: &'a Source,
        mask: Option<&'a Source>,
        strength: imagegen_pipeline::Strength,
        settings: Settings,
    ) -> Result<Inpaint<'a>, Error> {
        let expand = self
            .expand
            .as_deref()
            .map(str::parse::<Expand>)
            .transpose()?;
        Ok(Inpaint {
            source,
            mask: self.mask.request(mask)?,
            expand: expand.unwrap_or_default(),
            intent: self.intent.parse::<Intent>()?,
            strength: Some(strength),
            content: Some(self.content.parse()?),
            area: Some(self.area.parse::<Area>()?),
            edge: Edge {
                padding: Some(self.padding),
                wide: Some(self.wide),
                band: Some(self.band),
                ring: Some(self.ring),
            },
            settings,
        })
    }
}
