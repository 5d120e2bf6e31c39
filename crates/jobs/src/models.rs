//! The models that orders may name, loaded when needed and dropped when memory is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use imagegen::{Cpu, Model, ModelChoice, ModelInfo, Room};

use crate::{Error, ModelEntry};

/// Models that orders may name.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    /// Those that whoever runs the service named, under their own names; the first is the default one.
    pub named: Vec<ModelChoice>,
    /// Those that were found, by the names they are to have. One that does not run, or whose name is taken, is left
    /// out.
    pub found: Vec<(String, ModelChoice)>,
}

impl From<Vec<ModelChoice>> for Offered {
    fn from(named: Vec<ModelChoice>) -> Self {
        Self {
            named,
            found: Vec::new(),
        }
    }
}

/// All models by name, the default one first.
#[derive(Debug)]
pub(crate) struct Models {
    entries: Vec<Entry>,
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
        let mut entries: Vec<Entry> = Vec::new();
        let taken = |entries: &[Entry], name: &str| entries.iter().any(|entry| entry.name == name);
        for choice in offered.named {
            let info = ModelInfo::read(&choice)?;
            let name = info.name.clone();
            if taken(&entries, &name) {
                return Err(Error::SameName { name });
            }
            entries.push(Entry::new(name, choice, info));
        }
        if entries.is_empty() {
            return Err(Error::NoModel);
        }
        for (name, choice) in offered.found {
            let there = entries
                .iter()
                .any(|entry| entry.choice.source == choice.source);
            if there || taken(&entries, &name) {
                continue;
            }
            match ModelInfo::outline(&choice) {
                Ok(info) => entries.push(Entry::new(name, choice, info)),
                Err(error) => {
                    tracing::warn!(model = name, %error, "left out a model that was found")
                }
            }
        }
        Ok(Self {
            entries,
            cpu,
            memory,
            room,
            clock: AtomicU64::new(1),
        })
    }

    pub(crate) fn list(&self) -> Vec<ModelEntry> {
        let entry = |(index, entry): (usize, &Entry)| ModelEntry {
            name: entry.name.clone(),
            info: Arc::clone(&entry.info),
            is_default: index == 0,
            loaded: entry.bytes() > 0,
        };
        self.entries.iter().enumerate().map(entry).collect()
    }

    /// The model of this name, or the default one; loads it where it is not loaded.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<Arc<Model>, Error> {
        let entry = self.entry(name)?;
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        entry.used.store(now, Ordering::Relaxed);
        let mut model = entry.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*model {
            return Ok(Arc::clone(model));
        }
        self.make_room(entry);
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
        if let Ok(entry) = self.entry(Some(name)) {
            let mut model = entry.model.lock().unwrap_or_else(PoisonError::into_inner);
            *model = None;
            entry.loaded.store(0, Ordering::Relaxed);
        }
    }

    fn entry(&self, name: Option<&str>) -> Result<&Entry, Error> {
        let Some(name) = name else {
            return Ok(&self.entries[0]);
        };
        let found = self.entries.iter().find(|entry| entry.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.entries.iter().map(|e| e.name.as_str()).collect();
            Error::UnknownModel {
                got: name.to_owned(),
                known: names.join(" or "),
            }
        })
    }

    /// Drops the models that were not used for longest until `coming` fits. What a run still holds lives
    /// until the run ends.
    fn make_room(&self, coming: &Entry) {
        loop {
            let taken: u64 = self.entries.iter().map(Entry::bytes).sum();
            if taken + coming.memory() <= self.memory {
                return;
            }
            let others = self.entries.iter().filter(|entry| entry.bytes() > 0);
            let Some(oldest) = others.min_by_key(|entry| entry.used.load(Ordering::Relaxed)) else {
                return; // nothing left to drop: the one that is asked for is loaded all the same
            };
            tracing::info!(model = oldest.name, "dropped a model to make room");
            self.forget(&oldest.name);
        }
    }
}

impl Entry {
    fn new(name: String, choice: ModelChoice, info: ModelInfo) -> Self {
        Self {
            name,
            choice,
            info: Arc::new(info),
            model: Mutex::default(),
            loaded: AtomicU64::new(0),
            used: AtomicU64::new(0),
        }
    }

    fn bytes(&self) -> u64 {
        self.loaded.load(Ordering::Relaxed)
    }

    /// What it takes when loaded and run; at least 1, so that being loaded shows.
    fn memory(&self) -> u64 {
        (self.info.memory.weights + self.info.memory.run).max(1)
    }
}
