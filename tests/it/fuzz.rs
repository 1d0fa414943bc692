//! The fuzz targets' checks over their committed corpora, so that neither rots where nobody fuzzes.

use std::{collections::BTreeSet, fs, path::Path};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// The names of what lies in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_corpus_still_passes_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let corpus = folder.join(name);
        let files = names(&corpus);
        assert!(files.len() >= 3, "{name} has a corpus of {} files", files.len());
        for file in files {
            // Shown only where the test fails; the last one is then the culprit.
            println!("fuzz/corpus/{name}/{file}");
            target(&fs::read(corpus.join(file)).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let listed: BTreeSet<String> =
        targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder.join("corpus")), listed);
    let programs = names(&folder.join("fuzz_targets"));
    assert_eq!(programs, listed.iter().map(|name| format!("{name}.rs")).collect());
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for name in &listed {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "fuzz/Cargo.toml: {name}");
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("fuzz::{name}(data)")), "{program}");
    }
}
