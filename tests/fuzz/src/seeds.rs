//! Writes the first inputs of every target: `seeds FOLDER` makes `FOLDER/TARGET/seed-N`. Without an argument it prints the names
//! of the targets.

#[path = "../targets.rs"]
mod targets;

use targets::TARGETS;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().nth(1) else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return Ok(());
    };
    for target in &TARGETS {
        let folder = std::path::Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (place, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{place}")), seed)?;
        }
    }
    Ok(())
}
