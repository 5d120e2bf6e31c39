//! Folders of models: the user's own, and those that were named.

use std::path::{Path, PathBuf};

use imagegen::{Catalogue, Error, ModelSource};

use crate::arguments::ModelFolders;
use crate::data;

impl ModelFolders {
    /// The user's own folder, then those that were named.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let own = own();
        own.into_iter().chain(self.models_dir.clone()).collect()
    }

    /// What lies in them.
    pub(crate) fn catalogue(&self) -> Catalogue {
        Catalogue::of(&self.all())
    }

    /// The model that a name or path means. Looks into no folder for those of this program.
    ///
    /// Fails where there is none, or there are several.
    pub(crate) fn model(&self, name: &str) -> Result<ModelSource, Error> {
        match ModelSource::NAMES.contains(&name) {
            true => name.parse(),
            false => self.catalogue().model(name),
        }
    }

    /// The autoencoder that a name or path means.
    ///
    /// Fails as [`ModelFolders::model`].
    pub(crate) fn autoencoder(&self, name: &Path) -> Result<PathBuf, Error> {
        match name.exists() {
            true => Ok(name.to_owned()),
            false => self.catalogue().autoencoder(name),
        }
    }
}

/// The user's own folder of models, whether it is there or not.
pub(crate) fn own() -> Option<PathBuf> {
    Some(data::users_own()?.join("models"))
}
