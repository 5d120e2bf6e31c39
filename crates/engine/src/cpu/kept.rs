//! Transformed weights that are kept from one call to the next, as far as there is memory set aside for them.
//!
//! They take from half to eight times the memory of the weights they are made from and save a part of the work. Kept or
//! made anew they are the same numbers, so what is kept changes no result.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::CpuBackend;
use super::memory::Buffer;
use super::pages::Pages;
use super::simd::Product;

/// Bytes that may be kept, shared by all layers of a backend.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    whole: usize,
    left: Arc<AtomicUsize>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            whole: bytes,
            left: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    /// Bytes that are kept.
    pub(super) fn kept(&self) -> usize {
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
    uses: AtomicUsize,
    filters: OnceLock<(Pages<f32>, Loan)>,
}

impl Kept {
    /// Uses before anything is kept.
    const FIRST: usize = 2;

    /// What is kept. From the third use on it is made by `make`, `len` numbers, where `budget` allows: what a picture takes
    /// once or twice, as an encoder and a decoder, should not take the place of what is used at every step.
    pub(super) fn get(
        &self,
        budget: &Budget,
        len: usize,
        make: impl FnOnce() -> Pages<f32>,
    ) -> Option<&[f32]> {
        if let Some((filters, _)) = self.filters.get() {
            return Some(filters);
        }
        if self.uses.fetch_add(1, Ordering::Relaxed) < Self::FIRST {
            return None;
        }
        let loan = budget.lend(len * size_of::<f32>())?;
        Some(&self.filters.get_or_init(|| (make(), loan)).0)
    }
}

/// Panels of weights for one call: kept ones, or such as are made for it.
pub(super) enum Panels<'a> {
    Kept(&'a [f32]),
    Made(Buffer),
}

impl Panels<'_> {
    pub(super) fn items<P: Product>(&self) -> &[P::Item] {
        P::items_of(match self {
            Self::Kept(numbers) => numbers,
            Self::Made(numbers) => numbers.as_slice(),
        })
    }
}

impl CpuBackend {
    /// `count` panels of `len` items, each written by `make`: from `kept` where they are there.
    pub(super) fn panels<'a, P: Product>(
        &self,
        kept: &'a Kept,
        [count, len]: [usize; 2],
        make: impl Fn(usize, &mut [P::Item]) + Sync,
    ) -> Panels<'a> {
        match self.kept_panels::<P>(kept, [count, len], &make) {
            Some(panels) => panels,
            None => self.made_panels::<P>([count, len], make),
        }
    }

    /// The same where they are kept, or are from now on.
    pub(super) fn kept_panels<'a, P: Product>(
        &self,
        kept: &'a Kept,
        [count, len]: [usize; 2],
        make: impl Fn(usize, &mut [P::Item]) + Sync,
    ) -> Option<Panels<'a>> {
        let all = count * len;
        let numbers = kept.get(&self.budget, all, || {
            let mut pages = Pages::zeros(all);
            self.fill_panels::<P>(&mut pages, len, make);
            pages
        });
        numbers.map(Panels::Kept)
    }

    /// The same, and none are kept.
    pub(super) fn made_panels<P: Product>(
        &self,
        [count, len]: [usize; 2],
        make: impl Fn(usize, &mut [P::Item]) + Sync,
    ) -> Panels<'static> {
        let mut buffer = self.buffer(count * len);
        self.fill_panels::<P>(buffer.as_mut_slice(), len, make);
        Panels::Made(buffer)
    }

    fn fill_panels<P: Product>(
        &self,
        numbers: &mut [f32],
        len: usize,
        make: impl Fn(usize, &mut [P::Item]) + Sync,
    ) {
        let panels = numbers.chunks_exact_mut(len).enumerate().collect();
        self.each(panels, |(index, out): (usize, &mut [f32])| {
            make(index, P::items(out));
        });
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
        for _ in 0..Kept::FIRST {
            assert_eq!(first.get(&budget, 20, || unreachable!()), None, "too few");
        }
        assert_eq!(
            first.get(&budget, 20, || full(1.0, 20)),
            Some([1.0; 20].as_slice())
        );
        assert_eq!(
            first.get(&budget, 20, || unreachable!()),
            Some([1.0; 20].as_slice())
        );
        for _ in 0..=Kept::FIRST {
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
