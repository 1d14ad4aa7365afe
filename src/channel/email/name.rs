//! Names and texts that came with a mail, made fit to be kept and shown: no path, no control character, no trick with the
//! direction of writing, bounded. Pure.

/// The longest attachment name and display name, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// An attachment's name without path, control characters and direction marks, at most 255 characters with its extension kept.
/// None if nothing is left.
pub fn attachment_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = name.chars().filter(|c| !is_hidden(*c)).map(|c| if "<>:\"|?*".contains(c) { '_' } else { c }).collect();
    let clean = clean.trim_matches(|c: char| c == '.' || c.is_whitespace());
    if clean.is_empty() {
        return None;
    }
    let clean = if is_device(clean) { format!("_{clean}") } else { clean.to_owned() };
    Some(shorten(&clean))
}

/// A line of text: subject, display name. Control characters become spaces; at most `max` characters.
pub fn line(text: &str, max: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_hidden(*c)).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(max).collect()
}

/// A text of several lines: NUL and other control characters are gone, line ends are `\n`.
pub fn text(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// An address as one may answer it: one `@`, no white space, at most 320 bytes. None otherwise.
pub fn address(address: &str) -> Option<String> {
    let address = address.trim().trim_start_matches('<').trim_end_matches('>');
    let (local, domain) = address.rsplit_once('@')?;
    let fits = !local.is_empty() && !domain.is_empty() && address.len() <= 320;
    (fits && !address.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';')))
        .then(|| address.to_owned())
}

/// `type/subtype` in lower case, or `application/octet-stream`.
pub fn media_type(main: &str, sub: Option<&str>) -> String {
    let is_token =
        |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
    match sub {
        Some(sub) if is_token(main) && is_token(sub) => format!("{main}/{sub}").to_ascii_lowercase(),
        _ => "application/octet-stream".to_owned(),
    }
}

/// Control characters, and marks that change how a name is read without being seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{61c}' | '\u{feff}' | '\u{ad}')
}

/// Names that Windows takes for devices.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim().to_ascii_uppercase();
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT")) && stem.as_bytes()[3].is_ascii_digit())
}

fn shorten(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    let extension = name.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| extension.chars().count() <= 16);
    let kept = NAME_CHARS_MAX - extension.map_or(0, |extension| extension.chars().count() + 1);
    let stem: String = name.chars().take(kept).collect();
    extension.map_or(stem.clone(), |extension| format!("{stem}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachment_names_are_harmless() {
        for (name, expected) in [
            ("modulo.pdf", Some("modulo.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\x\\perché.docx", Some("perché.docx")),
            ("/abs", Some("abs")),
            ("a\0b\r\nc.txt", Some("abc.txt")),
            ("fattura\u{202e}fdp.exe", Some("fatturafdp.exe")),
            ("..", None),
            ("", None),
            (" . ", None),
            (".htaccess", Some("htaccess")),
            ("nul.txt", Some("_nul.txt")),
            ("COM1", Some("_COM1")),
            ("a<b>:c?.txt", Some("a_b__c_.txt")),
        ] {
            assert_eq!(attachment_name(name).as_deref(), expected, "{name:?}");
        }
        let long = attachment_name(&format!("{}.pdf", "è".repeat(400))).expect("a name");
        assert!(long.chars().count() == 255 && long.ends_with("è.pdf"));
    }

    #[test]
    fn texts_and_addresses() {
        assert_eq!(text("a\0b\r\nc\rd\u{7}\te"), "ab\nc\nd\te");
        assert_eq!(line(" a\r\nBcc: x\u{202e}  b ", 998), "a Bcc: x b");
        assert_eq!(line(&"x".repeat(2_000), 998).len(), 998);
        for (given, expected) in [
            ("a@b.it", Some("a@b.it")),
            ("<a@b.it>", Some("a@b.it")),
            ("a b@c", None),
            ("a@b\r\nBcc: c@d", None),
            ("a", None),
            ("@b", None),
            ("a@", None),
            ("a@b,c@d", None),
        ] {
            assert_eq!(address(given).as_deref(), expected, "{given:?}");
        }
        assert_eq!(media_type("Application", Some("PDF")), "application/pdf");
        assert_eq!(media_type("a b", Some("c")), "application/octet-stream");
        assert_eq!(media_type("text", None), "application/octet-stream");
    }
}
