//! Builds the crate again where a file of the page came or went: the macro that embeds them notices
//! changed files alone.

fn main() {
    println!("cargo:rerun-if-changed=page");
    println!("cargo:rerun-if-changed=viewer");
}
