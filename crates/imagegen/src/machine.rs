//! The memory that there is: the machine's own, and what a container leaves of it.

use std::fs;
use std::path::{Path, PathBuf};

/// Memory that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Room {
    /// What is free at the time, swap included. Known on Linux; elsewhere nothing is checked.
    #[default]
    Free,
    /// So many bytes for a model and its runs.
    Within(u64),
    /// Nothing is checked.
    Any,
}

impl Room {
    /// Bytes that may be taken on top of `taken` bytes; `None` where nothing is checked. `held` bytes are taken by the
    /// machine's figures, and would be used again.
    pub(crate) fn left(self, taken: u64, held: u64) -> Option<u64> {
        match self {
            Self::Free => Some(free(Path::new("/"))?.saturating_add(held)),
            Self::Within(bytes) => Some(bytes.saturating_sub(taken)),
            Self::Any => None,
        }
    }
}

/// Bytes that are free by what the system says under `root`; `None` where it says nothing.
fn free(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kibibytes = |name| field(&machine, name).map(|count| count << 10);
    let groups = groups(root);
    let left = groups.iter().filter_map(|group| group.left());
    let least = left.chain([kibibytes("MemAvailable:")?]).min()?;
    Some(least + kibibytes("SwapFree:").unwrap_or(0))
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A group of processes with a limit of its own (cgroup).
struct Group {
    folder: PathBuf,
    /// The files with the limit and with what is taken.
    files: [&'static str; 2],
    /// What counts of the memory that can be had back, in its statistics: pages of files, those in use included, since a
    /// model's files are not needed once its weights are read.
    spare: [&'static str; 2],
}

impl Group {
    fn left(&self) -> Option<u64> {
        let read = |file: &str| fs::read_to_string(self.folder.join(file)).ok();
        let number = |file: &str| read(file)?.trim().parse::<u64>().ok();
        let [limit, taken] = self.files.map(number);
        let statistics = read("memory.stat").unwrap_or_default();
        let pages = self.spare.map(|name| field(&statistics, name).unwrap_or(0));
        let spare = pages.iter().sum::<u64>();
        // No number is no limit.
        Some(limit?.saturating_sub(taken?.saturating_sub(spare)))
    }
}

/// The groups that this process is in, of both versions, from its own up to the whole.
fn groups(root: &Path) -> Vec<Group> {
    let named = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut groups = Vec::new();
    for line in named.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (base, files, spare) = match controllers {
            "" => (
                root.join("sys/fs/cgroup"),
                ["memory.max", "memory.current"],
                ["inactive_file", "active_file"],
            ),
            some if some.split(',').any(|name| name == "memory") => (
                root.join("sys/fs/cgroup/memory"),
                ["memory.limit_in_bytes", "memory.usage_in_bytes"],
                ["total_inactive_file", "total_active_file"],
            ),
            _ => continue,
        };
        let own = base.join(path.trim_start_matches('/'));
        let up = own
            .ancestors()
            .take_while(|folder| folder.starts_with(&base));
        groups.extend(up.map(|folder| Group {
            folder: folder.to_owned(),
            files,
            spare,
        }));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MACHINE: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:  8000 kB\nMemAvailable:   4000 kB\nSwapFree:  100 kB\n",
    );

    #[test]
    fn what_is_free_is_the_machines_or_the_least_of_its_groups() {
        assert_eq!(free(system(&[]).path()), None);
        assert_eq!(free(system(&[MACHINE]).path()), Some(4100 << 10));
        let second = system(&[
            MACHINE,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.current", "1000000\n"),
            ("sys/fs/cgroup/a/memory.max", "2048000\n"),
            ("sys/fs/cgroup/a/memory.current", "1536000\n"),
            (
                "sys/fs/cgroup/a/memory.stat",
                "anon 5\ninactive_file 500000\nactive_file 12000\n",
            ),
        ]);
        assert_eq!(free(second.path()), Some(1_024_000 + (100 << 10)));
        let first = system(&[
            MACHINE,
            ("proc/self/cgroup", "5:cpu:/x\n4:memory,misc:/x\n"),
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "500\n"),
            ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "700\n"),
        ]);
        assert_eq!(free(first.path()), Some(100 << 10));
    }

    #[test]
    fn what_was_taken_counts_only_against_a_limit_of_ones_own() {
        assert_eq!(Room::Any.left(5, 1), None);
        assert_eq!(Room::Within(7).left(5, 1), Some(2));
        assert_eq!(Room::Within(7).left(9, 1), Some(0));
        assert_eq!(Room::Free.left(0, 0).is_some(), cfg!(target_os = "linux"));
    }

    #[test]
    fn what_is_held_to_be_used_again_is_as_good_as_free() {
        let held = 1 << 60;
        let without = Room::Free.left(0, 0);
        assert!(without.is_none_or(|left| left < held));
        assert_eq!(
            Room::Free.left(0, held).is_some_and(|left| left > held),
            cfg!(target_os = "linux")
        );
    }
}
