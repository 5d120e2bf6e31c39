//! Masks on request: joins what a person names or draws with what is found in the source.

use std::str::FromStr;

use imagegen_picture::Rect;
use imagegen_picture::mask::{ColourKey, Mask, MaskWarning, subject};

use crate::{Cpu, Error, Face, Source, Warning, faces};

/// A part of a picture that is found, not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Heads of the faces found.
    Faces,
    /// The thing that stands before the ground.
    Subject,
    /// What is not the subject.
    Background,
    /// What the source's own alpha leaves clear.
    Transparent,
}

impl Region {
    /// Every region.
    pub const ALL: [Self; 4] = [
        Self::Faces,
        Self::Subject,
        Self::Background,
        Self::Transparent,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faces => "faces",
            Self::Subject => "subject",
            Self::Background => "background",
            Self::Transparent => "transparent",
        }
    }
}

impl FromStr for Region {
    type Err = Error;

    /// Fails with [`Error::Setting`] for names of no region.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|region| region.name() == name);
        let expected = "faces, subject, background or transparent";
        found.ok_or_else(|| Error::setting("region", format!("{name:?}"), expected))
    }
}

/// What to do with a mask picture of another size than the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherSize {
    /// It is an error.
    #[default]
    Refuse,
    /// It is resized.
    Fit,
}

/// What a mask is made of. All that is named is joined, then inverted, grown and feathered where that is
/// asked for; what is protected is taken out last, so that it is kept whatever else is asked.
#[derive(Debug, Clone, Default)]
pub struct MaskRequest<'a> {
    /// A picture of the mask: white changes, black stays, grey changes partly.
    pub picture: Option<&'a Source>,
    /// What to do where it has another size.
    pub other_size: OtherSize,
    /// Boxes, in the source's pixels.
    pub boxes: Vec<Rect>,
    /// Colours of the source.
    pub colours: Vec<ColourKey>,
    /// Regions to change.
    pub only: Vec<Region>,
    /// Regions to keep. Where nothing else is named, all the rest changes.
    pub protect: Vec<Region>,
    /// Whether what is named is kept instead.
    pub invert: bool,
    /// Pixels to grow by; shrinks below 0.
    pub grow: i32,
    /// Pixels over which the edge is made soft.
    pub feather: u32,
}

/// A mask that was made, and what to know about it.
#[derive(Debug, Clone)]
pub struct MadeMask {
    /// The mask, of the source's size.
    pub mask: Mask,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl MaskRequest<'_> {
    /// Makes the mask for `source`. The same on every CPU.
    ///
    /// Fails with [`Error::Setting`] where nothing is named, and with [`Error::Mask`] for a mask picture of
    /// another size or with colours and for boxes outside the source.
    pub fn make(&self, source: &Source, cpu: Cpu) -> Result<MadeMask, Error> {
        let mut finder = Finder {
            source,
            cpu,
            subject: None,
            faces: None,
            warnings: Vec::new(),
        };
        let mut mask = self.named(&mut finder)?;
        if self.invert {
            mask = mask.inverted();
        }
        let pixels = self.grow.unsigned_abs();
        mask = match self.grow {
            0 => mask,
            1.. => mask.grown(pixels),
            _ => mask.shrunk(pixels),
        };
        mask = mask.feathered(self.feather);
        for &region in &self.protect {
            mask = mask.minus(&finder.find(region)?);
        }
        let mut warnings = finder.warnings;
        warnings.extend(mask.extreme().map(Warning::Mask));
        Ok(MadeMask { mask, warnings })
    }

    /// Whether it says nothing of what may change.
    pub(crate) fn names_nothing(&self) -> bool {
        self.picture.is_none()
            && self.boxes.is_empty()
            && self.colours.is_empty()
            && self.only.is_empty()
            && self.protect.is_empty()
    }

    /// Everything that is named to be changed.
    fn named(&self, finder: &mut Finder<'_>) -> Result<Mask, Error> {
        let picture = finder.source.picture();
        let size = picture.size();
        let named = self.picture.is_some()
            || !(self.boxes.is_empty() && self.colours.is_empty() && self.only.is_empty());
        if !named && !self.protect.is_empty() {
            return Ok(Mask::full(size));
        }
        if !named {
            let expected = "a mask picture, a box, a colour or a region";
            return Err(Error::setting("mask", "nothing", expected));
        }
        let mut mask = Mask::empty(size);
        if let Some(drawn) = self.picture {
            let read = Mask::from_picture(drawn.picture())?;
            finder
                .warnings
                .extend(read.warnings.into_iter().map(Warning::Mask));
            if self.other_size == OtherSize::Fit && read.mask.size() != size {
                let from = read.mask.size();
                let resized = MaskWarning::Resized { from, to: size };
                finder.warnings.push(Warning::Mask(resized));
                mask = read.mask.fitted(size);
            } else {
                read.mask.check_size(size)?;
                mask = read.mask;
            }
        }
        for &rect in &self.boxes {
            mask.add_box(rect)?;
        }
        for &key in &self.colours {
            mask = mask.union(&Mask::from_colour(picture, key));
        }
        for &region in &self.only {
            mask = mask.union(&finder.find(region)?);
        }
        Ok(mask)
    }
}

/// Finds regions, each once.
struct Finder<'a> {
    source: &'a Source,
    cpu: Cpu,
    subject: Option<Mask>,
    faces: Option<Mask>,
    warnings: Vec<Warning>,
}

impl Finder<'_> {
    fn find(&mut self, region: Region) -> Result<Mask, Error> {
        Ok(match region {
            Region::Faces => self.faces()?,
            Region::Subject => self.subject(),
            Region::Background => self.subject().inverted(),
            Region::Transparent => Mask::from_transparency(self.source.picture()),
        })
    }

    fn subject(&mut self) -> Mask {
        if let Some(known) = &self.subject {
            return known.clone();
        }
        let found = subject(self.source.picture());
        let doubt = found
            .doubt
            .map(|doubt| Warning::Mask(MaskWarning::Doubt(doubt)));
        self.warnings.extend(doubt);
        self.subject.insert(found.mask).clone()
    }

    fn faces(&mut self) -> Result<Mask, Error> {
        if let Some(known) = &self.faces {
            return Ok(known.clone());
        }
        let picture = self.source.picture();
        let found = faces(picture, self.cpu)?;
        if found.is_empty() {
            self.warnings.push(Warning::NoFace);
        }
        let mut mask = Mask::empty(picture.size());
        found
            .iter()
            .map(Face::head)
            .for_each(|head| mask.add_ellipse(head));
        Ok(self.faces.insert(mask).clone())
    }
}
