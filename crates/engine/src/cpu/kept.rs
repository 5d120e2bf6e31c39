//! Transformed weights that are kept from one call to the next, as far as there is memory set aside for them.
//!
//! They take up to eight times the memory of the weights they are made from and save a part of the work. Kept or made
//! anew they are the same numbers, so what is kept changes no result.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cpu::pages::Pages;

/// Bytes that may be kept, shared by all layers of a backend.
#[derive(Debug, Clone)]
pub(in crate::cpu) struct Budget {
    whole: usize,
    left: Arc<AtomicUsize>,
}

impl Budget {
    pub(in crate::cpu) fn new(bytes: usize) -> Self {
        Self {
            whole: bytes,
            left: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    /// Bytes that are kept.
    pub(in crate::cpu) fn kept(&self) -> usize {
        self.whole - self.left.load(Ordering::Relaxed)
    }

    /// Takes `bytes` until the loan is dropped; `None` where so many are not left.
    fn lend(&self, bytes: usize) -> Option<Loan> {
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.ok().map(|_| Loan {
            bytes,
            from: self.clone(),
        })
    }
}

#[derive(Debug)]
struct Loan {
    bytes: usize,
    from: Budget,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.from.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// The transformed weights of one layer.
#[derive(Debug, Default)]
pub(super) struct Kept {
    used: AtomicBool,
    filters: OnceLock<(Pages<f32>, Loan)>,
}

impl Kept {
    /// What is kept. From the second use on it is made by `make`, `len` numbers, where `budget` allows: what is used
    /// once, as an encoder is, should not take the place of what is used at every step.
    pub(super) fn get(
        &self,
        budget: &Budget,
        len: usize,
        make: impl FnOnce() -> Pages<f32>,
    ) -> Option<&[f32]> {
        if let Some((filters, _)) = self.filters.get() {
            return Some(filters);
        }
        if !self.used.swap(true, Ordering::Relaxed) {
            return None;
        }
        let loan = budget.lend(len * size_of::<f32>())?;
        Some(&self.filters.get_or_init(|| (make(), loan)).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(number: f32, len: usize) -> Pages<f32> {
        let mut pages = Pages::zeros(len);
        pages.fill(number);
        pages
    }

    #[test]
    fn what_is_used_again_is_kept_while_there_is_room() {
        let budget = Budget::new(100);
        let (first, second) = (Kept::default(), Kept::default());
        assert_eq!(first.get(&budget, 20, || full(1.0, 20)), None, "used once");
        assert_eq!(
            first.get(&budget, 20, || full(1.0, 20)),
            Some([1.0; 20].as_slice())
        );
        assert_eq!(
            first.get(&budget, 20, || unreachable!()),
            Some([1.0; 20].as_slice())
        );
        for _ in 0..3 {
            assert_eq!(
                second.get(&budget, 6, || unreachable!()),
                None,
                "20 bytes are left"
            );
        }
        assert_eq!(budget.kept(), 80);
        drop(first);
        assert_eq!(budget.kept(), 0);
        assert_eq!(
            second.get(&budget, 6, || full(2.0, 6)),
            Some([2.0; 6].as_slice())
        );
    }
}
