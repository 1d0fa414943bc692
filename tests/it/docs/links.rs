//! Every link of a document leads somewhere: to a file that is there, and to a heading that it has. No page is
//! so long that nobody finds anything in it.

use std::{collections::BTreeSet, fs, path::Path};

use super::documents;

/// The targets of the links and pictures of a page, without what stands in blocks of code.
fn targets(page: &str) -> Vec<&str> {
    let text = page.split("```").step_by(2);
    text.flat_map(|text| text.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.starts_with("http"))
        .collect()
}

/// The names by which a page's headings are linked to: small letters, hyphens for spaces, nothing else.
fn anchors(page: &str) -> BTreeSet<String> {
    let text = page.split("```").step_by(2);
    text.flat_map(str::lines)
        .filter_map(|line| {
            line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))
        })
        .map(|heading| {
            let letters = heading.trim().to_lowercase().replace(' ', "-");
            letters.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for (path, page) in documents() {
        for target in targets(&page) {
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() {
                path.clone()
            } else {
                path.parent().expect("a folder").join(file)
            };
            assert!(to.exists(), "{}: {target} is not there", path.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&to).expect("a page"));
                assert!(there.contains(anchor), "{}: {target}: {there:?}", path.display());
            }
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn no_page_is_too_long_to_be_read() {
    for (path, page) in documents() {
        let lines = page.lines().count();
        assert!(lines <= 400, "{}: {lines} lines; split it by subject", path.display());
    }
}

#[test]
fn the_readme_leads_to_every_page() {
    let documents = documents();
    let (_, readme) =
        documents.iter().find(|(path, _)| path.ends_with("README.md")).expect("README");
    for (path, _) in &documents {
        let name = Path::new(path).file_name().and_then(|name| name.to_str()).expect("a name");
        if path.parent().is_some_and(|folder| folder.ends_with("docs")) {
            assert!(targets(readme).contains(&format!("docs/{name}").as_str()), "{name}");
        }
    }
}
