// SPDX-License-Identifier: Apache-2.0
// Reads a file and the clock, writes what it found.
fn main() {
    let text = std::fs::read_to_string("/data/in.txt").unwrap_or_default();
    let now = std::time::SystemTime::now();
    println!("{} {:?}", text.trim(), now);
    std::fs::write("/data/rust.txt", format!("{now:?}")).expect("write");
}
