//! How much one caller may do at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what each owner has under way.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    most: usize,
    busy: Arc<Mutex<HashMap<String, usize>>>,
}

/// One thing under way; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    owner: String,
    busy: Arc<Mutex<HashMap<String, usize>>>,
}

impl Gate {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            busy: Arc::default(),
        }
    }

    /// Lets one more thing of `owner` in, unless there are too many.
    pub(crate) fn enter(&self, owner: &str) -> Option<Pass> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.entry(owner.to_owned()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Pass {
            owner: owner.to_owned(),
            busy: Arc::clone(&self.busy),
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_its_own_share() {
        let gate = Gate::new(2);
        let first = gate.enter("a");
        let second = gate.enter("a");
        assert!(first.is_some() && second.is_some() && gate.enter("a").is_none());
        assert!(gate.enter("b").is_some());
        drop(first);
        assert!(gate.enter("a").is_some());
        drop(second);
        assert!(gate.busy.lock().unwrap().is_empty());
    }
}
