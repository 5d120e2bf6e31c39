//! The arguments of the service and its keys.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::shared::{Compute, ModelFolders, Overrides, ShelfFolders, default_model};

/// Where the service listens where nothing else is named.
pub(crate) const ADDRESS: &str = "127.0.0.1:7860";

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Address and port to listen on
    ///
    /// An address that others can reach demands at least one key (`imagegen keys add`).
    #[arg(
        long,
        value_name = "IP:PORT",
        default_value = ADDRESS,
        env = "IMAGEGEN_ADDRESS",
        hide_env_values = true
    )]
    pub(crate) address: SocketAddr,

    #[command(flatten)]
    pub(crate) data: DataFolder,

    /// Model: a name (starter), a folder in the diffusers layout, or one .safetensors file; may be named
    /// several times
    ///
    /// Requests that name none take the first.
    #[arg(long = "model", id = "model", value_name = "NAME|PATH", default_value = default_model(), env = "IMAGEGEN_MODEL")]
    pub(crate) models: Vec<String>,

    #[command(flatten)]
    pub(crate) over: Overrides,

    #[command(flatten)]
    pub(crate) folders: ModelFolders,

    #[command(flatten)]
    pub(crate) shelves: ShelfFolders,

    /// Open the page in a browser
    #[arg(long)]
    pub(crate) open: bool,

    /// Name under which the service is reached from elsewhere, such as a proxy's; may be named several times
    ///
    /// Demands at least one key. An address in figures and localhost need not be named.
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,

    /// Origin of another page that may call the service, such as https://example.org; may be named several
    /// times
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<String>,

    /// Longest picture file, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 10, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) picture_limit: u64,

    /// Most jobs that wait; what comes then is told to come again later
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) queue: u32,

    /// Most unfinished jobs of one key
    #[arg(long, value_name = "N", default_value_t = 16, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) jobs_per_key: u32,

    /// Days for which finished jobs are kept, 0 for ever; favourites are always kept
    #[arg(
        long,
        value_name = "N",
        default_value_t = 30,
        allow_negative_numbers = true
    )]
    pub(crate) keep_days: u32,

    /// MiB of pictures that are kept, 0 for any number; the oldest go first, favourites never
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 2048,
        allow_negative_numbers = true
    )]
    pub(crate) keep_size: u32,

    /// MiB of memory for loaded models; the one in use always stays
    #[arg(long, value_name = "MIB", default_value_t = 4096, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) model_memory: u32,

    /// Write prompts to the log, which otherwise names none
    #[arg(long)]
    pub(crate) log_prompts: bool,

    #[command(flatten)]
    pub(crate) compute: Compute,

    /// Log errors and warnings only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DataFolder {
    /// Folder of jobs, pictures and keys [default: imagegen in the user's data folder]
    #[arg(
        long,
        value_name = "DIR",
        env = "IMAGEGEN_DATA",
        hide_env_values = true,
        global = true
    )]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,

    #[command(flatten)]
    pub(crate) data: DataFolder,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it, once
    Add {
        /// What to call it, such as its owner or device
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the keys there are, without the keys themselves
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Drop a key; whoever used it is out at once
    Revoke {
        /// Name or number of the key, as `list` shows it
        #[arg(value_name = "NAME|ID")]
        which: String,
    },
}
