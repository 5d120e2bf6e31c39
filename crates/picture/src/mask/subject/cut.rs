//! The cheapest cut between subject and background on a grid of eight neighbours: Dinic's maximum flow on
//! whole numbers, so that it ends and gives the same cut everywhere.

use std::collections::VecDeque;

/// Steps to the eight neighbours; one and its reverse are beside each other.
pub(super) const STEPS: [(i32, i32); 8] = [
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
    (1, 1),
    (-1, -1),
    (1, -1),
    (-1, 1),
];

/// A grid of nodes with what is lost by cutting.
pub(super) struct Grid {
    width: usize,
    /// What calling a node background costs more than calling it subject.
    excess: Vec<i64>,
    /// What cutting between a node and each neighbour costs; 0 behind the edge.
    capacity: Vec<[i64; 8]>,
}

impl Grid {
    /// A grid of rows of `width` nodes. `excess` holds for each node what calling it background costs more
    /// than calling it subject; `link(node, other)` what it costs, at least 0 and the same both ways, that
    /// neighbours differ.
    pub(super) fn new(width: usize, excess: Vec<i64>, link: impl Fn(usize, usize) -> i64) -> Self {
        let height = excess.len() / width;
        let mut capacity = vec![[0; 8]; excess.len()];
        for (node, capacity) in capacity.iter_mut().enumerate() {
            let (x, y) = ((node % width) as i32, (node / width) as i32);
            for (capacity, (across, down)) in capacity.iter_mut().zip(STEPS) {
                let inside = (0..width as i32).contains(&(x + across))
                    && (0..height as i32).contains(&(y + down));
                if inside {
                    *capacity = link(node, neighbour(node, (across, down), width));
                }
            }
        }
        Self {
            width,
            excess,
            capacity,
        }
    }

    /// For each node whether it is subject in the cheapest cut.
    pub(super) fn cut(mut self) -> Vec<bool> {
        loop {
            let (levels, reaches) = self.levels();
            if !reaches {
                return levels.into_iter().map(|level| level != FAR).collect();
            }
            self.augment(levels);
        }
    }

    /// Steps from the nearest node with something left to give, by links with room, and whether any node
    /// that takes is among those reached.
    fn levels(&self) -> (Vec<u32>, bool) {
        let mut levels = vec![FAR; self.excess.len()];
        let mut queue = VecDeque::new();
        for (node, &excess) in self.excess.iter().enumerate() {
            if excess > 0 {
                levels[node] = 0;
                queue.push_back(node);
            }
        }
        let mut reaches = false;
        while let Some(node) = queue.pop_front() {
            for (&room, step) in self.capacity[node].iter().zip(STEPS) {
                if room == 0 {
                    continue;
                }
                let next = neighbour(node, step, self.width);
                if levels[next] == FAR {
                    levels[next] = levels[node] + 1;
                    reaches |= self.excess[next] < 0;
                    queue.push_back(next);
                }
            }
        }
        (levels, reaches)
    }

    /// Pushes as much as goes along shortest ways.
    fn augment(&mut self, mut levels: Vec<u32>) {
        let givers: Vec<usize> = (0..levels.len()).filter(|&n| self.excess[n] > 0).collect();
        // The first link of each node that may still lead on.
        let mut open = vec![0u8; levels.len()];
        let mut way: Vec<(usize, usize)> = Vec::new();
        for giver in givers {
            let mut node = giver;
            way.clear();
            while self.excess[giver] > 0 {
                if self.excess[node] < 0 {
                    let kept = self.push(giver, node, &way);
                    node = way.get(kept).map_or(node, |&(from, _)| from);
                    way.truncate(kept);
                    continue;
                }
                let step = (usize::from(open[node])..8).find(|&step| {
                    self.capacity[node][step] > 0
                        && levels[neighbour(node, STEPS[step], self.width)] == levels[node] + 1
                });
                match step {
                    Some(step) => {
                        open[node] = step as u8;
                        way.push((node, step));
                        node = neighbour(node, STEPS[step], self.width);
                    }
                    None => {
                        levels[node] = FAR; // leads nowhere
                        let Some((from, _)) = way.pop() else { break };
                        node = from;
                    }
                }
            }
        }
    }

    /// Pushes what goes along a way from `giver` to `taker`. Gives how many links of it still have room.
    fn push(&mut self, giver: usize, taker: usize, way: &[(usize, usize)]) -> usize {
        let ends = self.excess[giver].min(-self.excess[taker]);
        let room = way.iter().map(|&(node, step)| self.capacity[node][step]);
        let amount = room.fold(ends, i64::min);
        self.excess[giver] -= amount;
        self.excess[taker] += amount;
        for &(node, step) in way {
            self.capacity[node][step] -= amount;
            self.capacity[neighbour(node, STEPS[step], self.width)][step ^ 1] += amount;
        }
        let full = way
            .iter()
            .position(|&(node, step)| self.capacity[node][step] == 0);
        full.unwrap_or(way.len())
    }
}

/// The level of a node that is not reached.
const FAR: u32 = u32::MAX;

fn neighbour(node: usize, (across, down): (i32, i32), width: usize) -> usize {
    (node as i64 + i64::from(across) + i64::from(down) * width as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a cut costs.
    fn cost(width: usize, excess: &[i64], link: impl Fn(usize, usize) -> i64, cut: &[bool]) -> i64 {
        let height = excess.len() / width;
        let mut cost = 0;
        for node in 0..excess.len() {
            if !cut[node] && excess[node] > 0 {
                cost += excess[node];
            }
            if cut[node] && excess[node] < 0 {
                cost -= excess[node];
            }
            for step in STEPS {
                let (x, y) = (
                    node as i32 % width as i32 + step.0,
                    node as i32 / width as i32 + step.1,
                );
                if (0..width as i32).contains(&x) && (0..height as i32).contains(&y) {
                    let other = neighbour(node, step, width);
                    cost += i64::from(cut[node] && !cut[other]) * link(node, other);
                }
            }
        }
        cost
    }

    #[test]
    fn no_other_cut_is_cheaper() {
        // Every cut of 3x4 nodes, for some hundred sets of costs.
        let mut state = 1u64;
        let mut draw = |most: u64| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 33) % most) as i64
        };
        for _ in 0..100 {
            let excess: Vec<i64> = (0..12).map(|_| draw(41) - 20).collect();
            let links: Vec<i64> = (0..144).map(|_| draw(15)).collect();
            let link = |a: usize, b: usize| links[a.min(b) * 12 + a.max(b)];
            let found = Grid::new(3, excess.clone(), link).cut();
            let least = (0..1u32 << 12)
                .map(|bits| {
                    let cut: Vec<bool> = (0..12).map(|node| bits >> node & 1 == 1).collect();
                    cost(3, &excess, link, &cut)
                })
                .min();
            assert_eq!(Some(cost(3, &excess, link, &found)), least);
        }
    }
}
