//! Token merging: which tokens of a picture stand for each other where attention looks at fewer of them.
//!
//! The matching of Bolya and Hoffman, "Token Merging for Fast Stable Diffusion" (arXiv 2303.17604), without its random
//! choice: the first token of every block of two by two is a target, all others are sources, and the sources that are most
//! like a target are merged into it.

use crate::Error;

/// The tokens of each picture that are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMerges {
    pictures: usize,
    tokens: usize,
    /// Tokens of each picture that are left.
    left: usize,
    /// Which of those that are left each token is in, `[N, S]`.
    places: Vec<u32>,
    /// Where the members of each that is left begin, `[N * left + 1]`.
    starts: Vec<u32>,
    /// Tokens by the one that they are in, counted over all pictures, `[N * S]`.
    members: Vec<u32>,
}

/// The target that is most like a source.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Match {
    /// Cosine of the angle between the two.
    pub likeness: f32,
    /// Index among the targets.
    pub target: u32,
}

/// Tokens of one picture, row by row, cut into sources and targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenGrid {
    height: usize,
    width: usize,
    merged: usize,
}

impl TokenGrid {
    /// Largest share of tokens that can be merged: of every block of two by two one is left.
    pub const MOST: f64 = 0.75;

    /// Tokens of `height` by `width`, of which a share of `ratio` is to be merged, or as many as there are sources.
    ///
    /// Fails with [`Error::Value`] unless `ratio` is 0 to [`Self::MOST`].
    pub fn new([height, width]: [usize; 2], ratio: f64) -> Result<Self, Error> {
        if !(0.0..=Self::MOST).contains(&ratio) {
            let expected = format!("0 to {}", Self::MOST);
            return Err(Error::value("token merging ratio", ratio, expected));
        }
        let tokens = height * width;
        let sources = tokens - (height / 2) * (width / 2);
        let merged = match sources == tokens {
            true => 0,
            false => sources.min((tokens as f64 * ratio) as usize),
        };
        Ok(Self {
            height,
            width,
            merged,
        })
    }

    /// Tokens in all.
    pub fn tokens(self) -> usize {
        self.height * self.width
    }

    /// How many are merged into others.
    pub fn merged(self) -> usize {
        self.merged
    }

    fn is_target(self, token: usize) -> bool {
        let (y, x) = (token / self.width, token % self.width);
        let whole = |at: usize, side: usize| at.is_multiple_of(2) && at + 1 < side;
        whole(y, self.height) && whole(x, self.width)
    }

    /// Tokens that others are merged into.
    pub fn targets(self) -> impl Iterator<Item = usize> {
        (0..self.tokens()).filter(move |&token| self.is_target(token))
    }

    /// All others.
    pub fn sources(self) -> impl Iterator<Item = usize> {
        (0..self.tokens()).filter(move |&token| !self.is_target(token))
    }
}

impl TokenMerges {
    /// What is merged of pictures of one size, by what every source of each is most like, in the order of
    /// [`TokenGrid::sources`], one picture after the other. Of sources that are equally like, the first is merged.
    ///
    /// Fails with [`Error::Value`] unless there is one match for each source, of a target that is there.
    pub fn new(grid: TokenGrid, matches: &[Match]) -> Result<Self, Error> {
        let targets: Vec<_> = grid.targets().collect();
        let sources: Vec<_> = grid.sources().collect();
        if !matches.len().is_multiple_of(sources.len().max(1)) {
            let expected = format!("a multiple of {} sources", sources.len());
            return Err(Error::value("token matches", matches.len(), expected));
        }
        let outside = matches.iter().find(|m| m.target as usize >= targets.len());
        if let Some(outside) = outside.filter(|_| grid.merged > 0) {
            let expected = format!("below {}", targets.len());
            return Err(Error::value("token match", outside.target, expected));
        }
        let (tokens, left) = (grid.tokens(), grid.tokens() - grid.merged);
        let pictures = matches.len() / sources.len().max(1);
        let mut places = Vec::with_capacity(pictures * tokens);
        for matches in matches.chunks_exact(sources.len().max(1)) {
            let mut order: Vec<_> = (0..sources.len()).collect();
            order.sort_by(|&a, &b| matches[b].likeness.total_cmp(&matches[a].likeness));
            // The token that each is merged into, itself for those that are left.
            let mut into: Vec<_> = (0..tokens).collect();
            for &source in &order[..grid.merged] {
                into[sources[source]] = targets[matches[source].target as usize];
            }
            let mut place = vec![0; tokens];
            let leaves = (0..tokens).filter(|&token| into[token] == token);
            leaves
                .enumerate()
                .for_each(|(at, token)| place[token] = at as u32);
            places.extend(into.iter().map(|&into| place[into]));
        }
        Ok(Self::of_places([pictures, tokens, left], places))
    }

    fn of_places([pictures, tokens, left]: [usize; 3], places: Vec<u32>) -> Self {
        let whole = |index: usize| index / tokens * left + places[index] as usize;
        let mut starts = vec![0; pictures * left + 1];
        (0..places.len()).for_each(|index| starts[whole(index) + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let (mut next, mut members) = (starts.clone(), vec![0; places.len()]);
        for index in 0..places.len() {
            let next = &mut next[whole(index)];
            members[*next as usize] = index as u32;
            *next += 1;
        }
        Self {
            pictures,
            tokens,
            left,
            places,
            starts,
            members,
        }
    }

    /// `[N, S]` of the tokens.
    pub fn whole_shape(&self) -> [usize; 2] {
        [self.pictures, self.tokens]
    }

    /// `[N, S']` of those that are left.
    pub fn merged_shape(&self) -> [usize; 2] {
        [self.pictures, self.left]
    }

    /// Tokens that are in one of those that are left, both counted over all pictures.
    pub fn members(&self, left: usize) -> &[u32] {
        let range = self.starts[left] as usize..self.starts[left + 1] as usize;
        &self.members[range]
    }

    /// The one of those that are left in which a token is, both counted over all pictures.
    pub fn place(&self, token: usize) -> usize {
        token / self.tokens * self.left + self.places[token] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_every_whole_block_is_a_target() {
        let grid = TokenGrid::new([3, 5], 0.5).unwrap();
        assert_eq!(grid.targets().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(grid.sources().count(), 13);
        assert_eq!((grid.tokens(), grid.merged()), (15, 7));
        for size in [[1, 8], [8, 1], [1, 1], [0, 4]] {
            let grid = TokenGrid::new(size, 0.5).unwrap();
            assert_eq!((grid.targets().count(), grid.merged()), (0, 0), "{size:?}");
        }
        assert_eq!(TokenGrid::new([4, 4], 0.75).unwrap().merged(), 12);
        for ratio in [-0.1, 0.76, f64::NAN] {
            let error = TokenGrid::new([4, 4], ratio).unwrap_err().to_string();
            let want = format!("token merging ratio is {ratio}, expected 0 to 0.75");
            assert_eq!(error, want);
        }
    }

    #[test]
    fn the_most_alike_are_merged_into_their_targets() {
        // Targets are tokens 0 and 2, sources 1, 3, 4, 5, 6, 7.
        let grid = TokenGrid::new([2, 4], 0.4).unwrap();
        let matches = |likeness: [f32; 6]| {
            likeness.map(|likeness| Match {
                likeness,
                target: u32::from(likeness > 0.5),
            })
        };
        let both = [
            [0.1, 0.9, 0.4, 0.2, 0.9, 0.3],
            [0.4, 0.3, 0.2, 0.1, 0.0, 0.6],
        ];
        let both = both.map(matches).concat();
        let merges = TokenMerges::new(grid, &both).unwrap();
        assert_eq!(
            (merges.whole_shape(), merges.merged_shape()),
            ([2, 8], [2, 5])
        );
        // Of the first picture 3 and 6 go into 2, and 4 into 0; of the second 7 into 2, and 1 and 3 into 0.
        let of = |token| merges.members(merges.place(token)).to_vec();
        assert_eq!((of(0), of(2), of(6)), (vec![0, 4], vec![2, 3, 6], of(2)));
        assert_eq!(
            (of(8), of(10), of(15)),
            (vec![8, 9, 11], vec![10, 15], of(10))
        );
        for alone in [1, 5, 7, 12, 13, 14] {
            assert_eq!(of(alone), [alone as u32]);
        }
        // Each place has its own members, and none is left out.
        let mut all: Vec<_> = (0..10).flat_map(|left| merges.members(left)).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(&(0..16).collect::<Vec<u32>>()));
    }

    #[test]
    fn what_does_not_fit_the_grid_is_refused() {
        let grid = TokenGrid::new([2, 2], 0.5).unwrap();
        let one = Match {
            likeness: 1.0,
            target: 0,
        };
        assert!(TokenMerges::new(grid, &[one; 3]).is_ok());
        let error = TokenMerges::new(grid, &[one; 4]).unwrap_err().to_string();
        assert_eq!(
            error,
            "token matches is 4, expected a multiple of 3 sources"
        );
        let far = Match { target: 1, ..one };
        let error = TokenMerges::new(grid, &[one, far, one]).unwrap_err();
        assert_eq!(error.to_string(), "token match is 1, expected below 1");
    }
}
