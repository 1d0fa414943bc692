//! The two bodies of a mail: plain text, and html for those who prefer it; both say everything.

use super::view::View;

/// The plain-text body.
#[must_use]
pub fn text(view: &View) -> String {
    let mut out = format!("{} {}\n\n{}\n", view.sign, view.headline, view.sentence);
    if !view.description.is_empty() {
        out.push_str(&format!("\n{}\n", view.description));
    }
    if let Some((bars, caption)) = &view.trend {
        out.push_str(&format!("\n{bars}  {caption}\n"));
    }
    if !view.rows.is_empty() {
        out.push('\n');
        let width = view.rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 1;
        for (label, value) in &view.rows {
            out.push_str(&format!("{:width$} {value}\n", format!("{label}:")));
        }
    }
    if !view.top.is_empty() {
        out.push_str("\nMost frequent errors\n");
        for (count, title) in &view.top {
            out.push_str(&format!("  {count} × {title}\n"));
        }
    }
    if !view.samples.is_empty() {
        out.push_str(&format!("\nNewest errors: {}\n", view.samples.join(", ")));
    }
    if let Some(link) = &view.link {
        out.push_str(&format!("\nOpen in the dashboard: {link}\n"));
    }
    if let Some(incident) = &view.incident {
        out.push_str(&format!("\nIncident {incident}\n"));
    }
    if let Some(note) = &view.note {
        out.push_str(&format!("\n{note}\n"));
    }
    out
}

/// The html body: tables and inline styles, because mail programs drop everything else.
#[must_use]
pub fn html(view: &View) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"margin:0;padding:16px;font:15px/1.5 system-ui,sans-serif;color:#1b1f24\">\n\
         <h1 style=\"margin:0 0 4px;font-size:19px\">{sign} {title}</h1>\n\
         <p style=\"margin:0 0 12px;font-size:16px\"><strong>{sentence}</strong></p>\n",
        title = escaped(&view.headline),
        sign = view.sign,
        sentence = escaped(&view.sentence),
    );
    if !view.description.is_empty() {
        let description = escaped(&view.description).replace('\n', "<br>\n");
        out.push_str(&format!("<p style=\"margin:0 0 12px\">{description}</p>\n"));
    }
    if let Some((bars, caption)) = &view.trend {
        out.push_str(&format!(
            "<p style=\"margin:0 0 12px\"><span style=\"font:16px/1 ui-monospace,Menlo,Consolas,monospace;color:#cf222e\">{bars}</span> <span style=\"color:#57606a;font-size:13px\">{}</span></p>\n",
            escaped(caption)
        ));
    }
    if !view.rows.is_empty() {
        out.push_str("<table role=\"presentation\" style=\"border-collapse:collapse\">\n");
        for (label, value) in &view.rows {
            out.push_str(&format!(
                "<tr><td style=\"padding:2px 16px 2px 0;color:#57606a\">{label}</td><td style=\"padding:2px 0\">{}</td></tr>\n",
                escaped(value)
            ));
        }
        out.push_str("</table>\n");
    }
    if !view.top.is_empty() {
        out.push_str("<h2 style=\"margin:16px 0 4px;font-size:15px\">Most frequent errors</h2>\n<table role=\"presentation\" style=\"border-collapse:collapse\">\n");
        for (count, title) in &view.top {
            out.push_str(&format!(
                "<tr><td style=\"padding:2px 12px 2px 0;text-align:right\">{count} ×</td><td style=\"padding:2px 0;font-family:ui-monospace,monospace\">{}</td></tr>\n",
                escaped(title)
            ));
        }
        out.push_str("</table>\n");
    }
    if !view.samples.is_empty() {
        out.push_str(&format!(
            "<p style=\"margin:12px 0 0;color:#57606a;font-size:13px\">Newest errors: {}</p>\n",
            escaped(&view.samples.join(", "))
        ));
    }
    if let Some(link) = view.link.as_deref().filter(|link| is_http(link)) {
        out.push_str(&format!(
            "<p style=\"margin:16px 0\"><a href=\"{}\">Open in the dashboard</a></p>\n",
            escaped(link)
        ));
    }
    if let Some(incident) = &view.incident {
        out.push_str(&format!(
            "<p style=\"margin:16px 0 0;color:#57606a;font-size:12px\">Incident {incident}</p>\n"
        ));
    }
    if let Some(note) = &view.note {
        out.push_str(&format!(
            "<p style=\"margin:8px 0 0;color:#9a6700;font-size:12px\">{}</p>\n",
            escaped(note)
        ));
    }
    out.push_str("</body>\n</html>\n");
    out
}

pub(super) fn is_http(link: &str) -> bool {
    url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// `text` as the content of an element or of a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
