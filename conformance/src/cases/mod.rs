//! The cases, one kind per operation. A kind is a struct of shapes, options and a seed; the numbers
//! follow from the seed, so a case that failed is kept by writing its fields down in
//! [`crate::suite`].

mod attention;
mod conv2d;
mod elementwise;
mod layout;
mod linear;
mod merging;
mod norm;

use std::fmt;

use imagegen_engine::cpu::Precision;
use imagegen_engine::{Backend, Error, Tensor};

pub use attention::{Attention, Mask};
pub use conv2d::{Conv2d, InputNorm};
pub use elementwise::{Activate, Add, Grid, Prelu, Scale};
pub use layout::{Concat, Depth, DepthWay, Embedding, Reshape, Resized, Split};
pub use linear::{Geglu, Linear};
pub use merging::Merging;
pub use norm::{GroupNorm, LayerNorm, Spread};

use crate::reference::Reference;
use crate::tolerance::Tolerance;

/// One call of one operation.
pub trait Call: fmt::Debug {
    /// What must come out, in plain loops.
    fn reference(&self) -> Vec<Reference>;

    /// The same where products are computed at a precision: the value is the same, what may be off is more.
    fn reference_at(&self, _: Precision) -> Vec<Reference> {
        self.reference()
    }

    /// What `backend` gives.
    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error>;

    /// How far the two may be apart.
    fn tolerance(&self) -> Tolerance;

    /// Multiply-adds of the call, near enough to tell cheap from costly.
    fn work(&self) -> usize {
        0
    }
}

macro_rules! cases {
    ($($kind:ident),* $(,)?) => {
        /// A case of any kind.
        #[derive(Debug, Clone)]
        pub enum Case {
            $(
                #[doc = concat!("See [`", stringify!($kind), "`](struct@", stringify!($kind), ").")]
                $kind($kind),
            )*
        }

        $(
            impl From<$kind> for Case {
                fn from(case: $kind) -> Self {
                    Self::$kind(case)
                }
            }
        )*

        impl Call for Case {
            fn reference(&self) -> Vec<Reference> {
                match self { $(Self::$kind(case) => case.reference(),)* }
            }

            fn reference_at(&self, precision: Precision) -> Vec<Reference> {
                match self { $(Self::$kind(case) => case.reference_at(precision),)* }
            }

            fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
                match self { $(Self::$kind(case) => case.run(backend),)* }
            }

            fn tolerance(&self) -> Tolerance {
                match self { $(Self::$kind(case) => case.tolerance(),)* }
            }

            fn work(&self) -> usize {
                match self { $(Self::$kind(case) => case.work(),)* }
            }
        }

        impl fmt::Display for Case {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$kind(case) => write!(f, "{case:?}"),)* }
            }
        }
    };
}

cases!(
    Activate, Add, Attention, Concat, Conv2d, Depth, Embedding, Geglu, GroupNorm, LayerNorm,
    Linear, Merging, Prelu, Resized, Reshape, Scale, Split,
);
