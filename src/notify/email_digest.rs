//! One mail for what a rule says of many groups at once: both bodies.

use super::{
    digest_view::DigestView,
    email_body::{escaped, is_http},
};

/// The plain-text body: everything by name.
#[must_use]
pub(super) fn text(view: &DigestView) -> String {
    let mut out = format!("{}\n", view.title);
    for entry in &view.entries {
        out.push_str(&format!("\n{}\n", entry.head()));
        for item in &entry.items {
            out.push_str(&format!("  {}\n", item.name));
            if let Some(link) = &item.link {
                out.push_str(&format!("    {link}\n"));
            }
        }
    }
    out
}

/// The html body.
#[must_use]
pub(super) fn html(view: &DigestView) -> String {
    let title = escaped(&view.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"margin:0;padding:16px;font:15px/1.5 system-ui,sans-serif;color:#1b1f24\">\n\
         <h1 style=\"margin:0 0 12px;font-size:19px\">{title}</h1>\n"
    );
    for entry in &view.entries {
        let head = escaped(&entry.head());
        out.push_str(&format!("<h2 style=\"margin:16px 0 4px;font-size:15px\">{head}</h2>\n<ul style=\"margin:0;padding:0 0 0 20px\">\n"));
        for item in &entry.items {
            let name = escaped(&item.name);
            let link = item.link.as_deref().filter(|link| is_http(link));
            let line = link.map_or_else(
                || name.clone(),
                |link| format!("<a href=\"{}\">{name}</a>", escaped(link)),
            );
            out.push_str(&format!("<li>{line}</li>\n"));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</body>\n</html>\n");
    out
}
