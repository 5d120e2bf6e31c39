//! The models that orders may name, loaded when needed and dropped when memory is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use imagegen::{Cpu, FoundModel, Listing, Model, ModelChoice, ModelFolders, ModelInfo, Room};

use crate::named::quoted;
use crate::shared::locked;
use crate::{Error, ModelEntry, Order};

/// Models that orders may name.
#[derive(Debug, Default)]
pub struct Offered {
    /// Those that whoever runs the service named, under their own names; the first is the default one.
    pub named: Vec<ModelChoice>,
    /// Folders whose models are offered too, as far as they run and have an autoencoder, and their names are not taken. They
    /// are looked into again when somebody asks what there is, or for a model that is not known.
    pub folders: Option<ModelFolders>,
}

impl From<Vec<ModelChoice>> for Offered {
    fn from(named: Vec<ModelChoice>) -> Self {
        Self {
            named,
            folders: None,
        }
    }
}

/// All models by name, the default one first.
#[derive(Debug)]
pub(crate) struct Models {
    entries: RwLock<Vec<Arc<Entry>>>,
    folders: Option<ModelFolders>,
    /// What lay in the folders when they were looked into.
    listed: Mutex<Option<Arc<Listing>>>,
    cpu: Cpu,
    /// Most bytes of loaded models.
    memory: u64,
    room: Room,
    /// Counts uses, to tell which model was not used for longest.
    clock: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    name: String,
    choice: ModelChoice,
    /// What was found, of one that was.
    found: Option<FoundModel>,
    info: Arc<ModelInfo>,
    /// Locked while it loads, so that it loads once.
    model: Mutex<Option<Arc<Model>>>,
    /// Kept apart, so that asking does not wait for a load.
    loaded: AtomicU64,
    used: AtomicU64,
}

impl Models {
    /// Reads what the models are, and loads none.
    pub(crate) fn new(offered: Offered, cpu: Cpu, memory: u64, room: Room) -> Result<Self, Error> {
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for choice in offered.named {
            let info = ModelInfo::read(&choice)?;
            let name = info.name.clone();
            if entries.iter().any(|entry| entry.name == name) {
                return Err(Error::SameName { name });
            }
            entries.push(Arc::new(Entry::new(name, choice, None, info)));
        }
        if entries.is_empty() {
            return Err(Error::NoModel);
        }
        let models = Self {
            entries: RwLock::new(entries),
            folders: offered.folders,
            listed: Mutex::default(),
            cpu,
            memory,
            room,
            clock: AtomicU64::new(1),
        };
        models.look();
        Ok(models)
    }

    /// Looks for models that came into the folders since the last look, and forgets those that went or changed.
    fn look(&self) {
        let Some(folders) = &self.folders else {
            return;
        };
        let listing = folders.list();
        let mut listed = locked(&self.listed);
        if listed
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, &listing))
        {
            return;
        }
        let there = |found: &FoundModel| listing.models.contains(found);
        let mut entries = self.entries();
        entries.retain(|entry| entry.found.as_ref().is_none_or(there));
        for found in listing.models.iter().filter(|found| found.has_autoencoder) {
            let taken = |entry: &Arc<Entry>| {
                entry.name == found.name || entry.choice.source == found.source
            };
            if entries.iter().any(taken) {
                continue;
            }
            let (name, choice) = (found.name.clone(), ModelChoice::from(found.source.clone()));
            match ModelInfo::outline(&choice) {
                Ok(info) => {
                    let entry = Entry::new(name, choice, Some(found.clone()), info);
                    entries.push(Arc::new(entry));
                }
                Err(error) => {
                    tracing::warn!(model = name, %error, "left out a model that was found");
                }
            }
        }
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
        *listed = Some(listing);
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All of them, as they are now.
    pub(crate) fn list(&self) -> Vec<ModelEntry> {
        self.look();
        let entries = self.entries();
        let entries = entries.iter().enumerate();
        entries
            .map(|(index, entry)| entry.told(index == 0))
            .collect()
    }

    /// The model of this name, or the default one, not loaded.
    pub(crate) fn told(&self, name: Option<&str>) -> Result<ModelEntry, Error> {
        let entry = self.entry(name)?;
        let default = Arc::ptr_eq(&entry, &self.entry(None)?);
        Ok(entry.told(default))
    }

    /// The model of this name, or the default one; loads it where it is not loaded.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<Arc<Model>, Error> {
        let entry = self.entry(name)?;
        self.load(&entry, None)
    }

    /// The model that runs the last steps of an order to the model named `first`, where the order names one. Making room
    /// for it does not drop that one.
    ///
    /// Fails with [`Error::Value`] where there is none of its name, or as loading does.
    pub(crate) fn refiner(&self, order: &Order, first: &str) -> Result<Option<Arc<Model>>, Error> {
        let Some(name) = order.sampling.refiner.as_deref() else {
            return Ok(None);
        };
        let entry = self.entry(Some(name)).map_err(|error| match error {
            Error::UnknownModel { got, known } => Error::value("refiner", quoted(&got), known),
            other => other,
        })?;
        self.load(&entry, Some(first)).map(Some)
    }

    fn load(&self, entry: &Entry, beside: Option<&str>) -> Result<Arc<Model>, Error> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        entry.used.store(now, Ordering::Relaxed);
        let mut model = locked(&entry.model);
        if let Some(model) = &*model {
            return Ok(Arc::clone(model));
        }
        self.make_room(entry, beside);
        let loaded = Arc::new(Model::load_in(&entry.choice, self.cpu, self.room)?);
        tracing::info!(model = entry.name, "loaded a model");
        entry.loaded.store(entry.memory(), Ordering::Relaxed);
        *model = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// The name of the model that an order names, or of the default one.
    pub(crate) fn name(&self, asked: Option<&str>) -> Result<String, Error> {
        Ok(self.entry(asked)?.name.clone())
    }

    /// Drops a model, so that the next use loads it anew.
    pub(crate) fn forget(&self, name: &str) {
        if let Some(entry) = self.known(name) {
            entry.forget();
        }
    }

    fn known(&self, name: &str) -> Option<Arc<Entry>> {
        let mut entries = self.entries().into_iter();
        entries.find(|entry| entry.name == name)
    }

    fn entry(&self, name: Option<&str>) -> Result<Arc<Entry>, Error> {
        let Some(name) = name else {
            return Ok(Arc::clone(&self.entries()[0]));
        };
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        self.look();
        self.known(name).ok_or_else(|| {
            let entries = self.entries();
            let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
            Error::UnknownModel {
                got: name.to_owned(),
                known: names.join(" or "),
            }
        })
    }

    /// Drops the models that were not used for longest until `coming` fits, but not the one named `beside`. What a run
    /// still holds lives until the run ends.
    fn make_room(&self, coming: &Entry, beside: Option<&str>) {
        let entries = self.entries();
        loop {
            let taken: u64 = entries.iter().map(|entry| entry.bytes()).sum();
            if taken + coming.memory() <= self.memory {
                return;
            }
            let others = entries
                .iter()
                .filter(|entry| entry.bytes() > 0 && Some(entry.name.as_str()) != beside);
            let Some(oldest) = others.min_by_key(|entry| entry.used.load(Ordering::Relaxed)) else {
                return; // nothing left to drop: the one that is asked for is loaded all the same
            };
            tracing::info!(model = oldest.name, "dropped a model to make room");
            oldest.forget();
        }
    }
}

impl Entry {
    fn new(name: String, choice: ModelChoice, found: Option<FoundModel>, info: ModelInfo) -> Self {
        Self {
            name,
            choice,
            found,
            info: Arc::new(info),
            model: Mutex::default(),
            loaded: AtomicU64::new(0),
            used: AtomicU64::new(0),
        }
    }

    fn told(&self, is_default: bool) -> ModelEntry {
        ModelEntry {
            name: self.name.clone(),
            info: Arc::clone(&self.info),
            is_default,
            loaded: self.bytes() > 0,
        }
    }

    fn forget(&self) {
        *locked(&self.model) = None;
        self.loaded.store(0, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.loaded.load(Ordering::Relaxed)
    }

    /// What it takes when loaded and run; at least 1, so that being loaded shows.
    fn memory(&self) -> u64 {
        (self.info.memory.weights + self.info.memory.run).max(1)
    }
}
