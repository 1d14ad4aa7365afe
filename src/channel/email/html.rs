//! A mail's HTML: a gate on its depth, then a sanitised form for the sandboxed frame and a plain text. Pure.
//!
//! Tree builders are quadratic in depth (1 MB of `<div>` holds a core for over a minute), so what lies deeper than the limits is
//! cut off before any of them sees it; the original stays beside it.

use std::collections::HashSet;

/// The most bytes of HTML that are shown.
pub const HTML_BYTES_MAX: usize = 512 * 1024;
/// The most bytes of HTML that are made into plain text, which is the dearer of the two.
const TEXT_FROM_BYTES_MAX: usize = 256 * 1024;
/// The deepest element, and the most formatting elements left open (a tree builder opens them again in every block).
const DEPTH_MAX: usize = 100;
/// The most work: the sum over all tags of what is open at each.
const COST_MAX: usize = 250_000;

/// Elements without content: they open nothing.
const VOID: [&str; 14] = ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];
/// Elements that end by themselves, with the level at which they stand: opening one ends those of its own kind at its level
/// and below, and paragraphs.
const SELF_ENDING: [(&str, Kind, u8); 11] = [
    ("tbody", Kind::Table, 1),
    ("thead", Kind::Table, 1),
    ("tfoot", Kind::Table, 1),
    ("tr", Kind::Table, 2),
    ("td", Kind::Table, 3),
    ("th", Kind::Table, 3),
    ("li", Kind::List, 1),
    ("dt", Kind::List, 1),
    ("dd", Kind::List, 1),
    ("option", Kind::List, 1),
    ("p", Kind::Paragraph, 1),
];

/// What an element that ends by itself is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    List,
    Paragraph,
}
/// Formatting elements, which outlive the block they were opened in.
const FORMATTING: [&str; 14] = ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// As much of `html` as may be given to a tree builder, cut at a character boundary.
pub fn gate(html: &str) -> &str {
    let html = cut(html, HTML_BYTES_MAX);
    let mut open: Vec<&str> = Vec::new();
    let mut formatting = 0_usize;
    let mut cost = 0_usize;
    for (at, tag) in Tags(html, 0) {
        let name = tag.name;
        if tag.closing {
            if let Some(place) = open.iter().rposition(|tag| tag.eq_ignore_ascii_case(name)) {
                open.truncate(place);
            }
            formatting = formatting.saturating_sub(usize::from(is_one_of(&FORMATTING, name)));
        } else if !is_one_of(&VOID, name) {
            end_by_themselves(&mut open, name);
            open.push(name);
            formatting += usize::from(is_one_of(&FORMATTING, name));
        }
        cost += open.len() + formatting + 1;
        if open.len() > DEPTH_MAX || formatting > DEPTH_MAX || cost > COST_MAX {
            return &html[..at];
        }
    }
    html
}

/// Closes what the opening of `name` ends without a closing tag.
fn end_by_themselves(open: &mut Vec<&str>, name: &str) {
    let standing = |name: &str| SELF_ENDING.iter().find(|(entry, ..)| entry.eq_ignore_ascii_case(name));
    let Some((_, kind, level)) = standing(name) else { return };
    while let Some((_, top, top_level)) = open.last().and_then(|top| standing(top)) {
        if *top != Kind::Paragraph && (top != kind || top_level < level) {
            return;
        }
        open.pop();
    }
}

fn is_one_of(list: &[&str], name: &str) -> bool {
    list.iter().any(|entry| entry.eq_ignore_ascii_case(name))
}

/// `text` cut to `max` bytes at a character boundary.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// A tag as it is written.
struct Tag<'a> {
    name: &'a str,
    closing: bool,
}

/// The tags of a text with their places, found in one pass. Comments and attribute values are not looked into: a `<` in them
/// counts as a tag, which only makes the gate stricter.
struct Tags<'a>(&'a str, usize);

impl<'a> Iterator for Tags<'a> {
    type Item = (usize, Tag<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.1 + self.0[self.1..].find('<')?;
            self.1 = at + 1;
            let rest = &self.0[self.1..];
            let (closing, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
            let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b':' || *byte == b'-').count();
            if length > 0 && rest.as_bytes()[0].is_ascii_alphabetic() {
                return Some((at, Tag { name: &rest[..length], closing }));
            }
        }
    }
}

/// `html` without anything that runs, loads or styles: for a sandboxed frame only. Inline images keep their `cid:`; links open
/// apart and tell nothing about where they stood.
pub fn sanitise(html: &str) -> String {
    let schemes: HashSet<&str> = ["http", "https", "mailto", "tel", "cid"].into();
    let mut builder = ammonia::Builder::default();
    builder
        .url_schemes(schemes)
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .rm_tags(["map", "area"]);
    builder.attribute_filter(|element, attribute, value| {
        let remote_image = element == "img" && attribute == "src" && !value.trim_start().to_ascii_lowercase().starts_with("cid:");
        (!remote_image).then_some(value.into())
    });
    builder.clean(gate(html)).to_string()
}

/// The words of `html`, in lines of at most 100 columns.
pub fn to_text(html: &str) -> String {
    let html = cut(gate(html), TEXT_FROM_BYTES_MAX);
    let rendered = html2text::config::plain_no_decorate()
        .raw_mode(true)
        .no_table_borders()
        .allow_width_overflow()
        .link_footnotes(false)
        .string_from_read(html.as_bytes(), 100);
    match rendered {
        Ok(text) => text.trim().to_owned(),
        Err(_) => mail_parser::decoders::html::html_to_text(html).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn nothing_that_runs_or_loads_stays() {
        for (html, gone) in [
            ("<script>alert(1)</script>ciao", "alert"),
            ("<p onclick=x()>ciao</p>", "onclick"),
            ("ciao<img src=https://tracker.example/x.gif>", "tracker"),
            ("ciao<a href=javascript:x()>a</a>", "javascript"),
            ("<style>p{background:url(//x)}</style>ciao", "url("),
            ("<p style='position:fixed'>ciao</p>", "style"),
            ("<a href=/admin>ciao</a>", "admin"),
            ("<iframe src=x></iframe>ciao<form action=x><input></form>", "iframe"),
            ("<svg><script>x</script></svg>ciao", "svg"),
        ] {
            let clean = sanitise(html);
            assert!(clean.contains("ciao") && !clean.contains(gone), "{html} → {clean}");
        }
        assert!(sanitise("<img src=\"cid:logo@x\" alt=\"logo\">").contains("cid:logo@x"));
    }

    #[test]
    fn bombs_are_cut_in_time() {
        let unclosed: String = (0..90).map(|i| format!("<font color=c{i}>")).collect();
        for (name, html) in [
            ("1 MB of div", "<div>".repeat(200_000)),
            ("1 MB of b", "<b>".repeat(350_000)),
            ("1 MB of tables", "<table><tr><td>".repeat(70_000)),
            ("1 MB of links", "<a href=x><p>".repeat(80_000)),
            ("formatting opened again in every block", format!("<div>{unclosed}</div>{}", "<div>x</div>".repeat(80_000))),
            ("1 MB of <", "<".repeat(1_000_000)),
            ("1 MB of an attribute", format!("<p x=\"{}", "y".repeat(1_000_000))),
        ] {
            let started = Instant::now();
            let clean = sanitise(&html);
            let text = to_text(&html);
            let limit = if cfg!(debug_assertions) { Duration::from_secs(30) } else { Duration::from_millis(250) };
            assert!(started.elapsed() < limit, "{name} took {:?} ({} and {} bytes)", started.elapsed(), clean.len(), text.len());
        }
    }

    #[test]
    fn ordinary_pages_are_whole() {
        let cells = "<tr><td>a<td>b".repeat(300);
        let page = format!("<html><body><p>uno<p>due<br><br><ul><li>x<li>y</ul><table>{cells}</table><p>fine</body></html>");
        assert_eq!(gate(&page), page);
        let text = to_text(&page);
        assert!(text.contains("uno") && text.contains("fine"), "{text}");
        assert_eq!(to_text("<p>Buongiorno,</p><p>a &amp; b</p>"), "Buongiorno,\n\na & b");
    }
}
