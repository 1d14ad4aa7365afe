//! The words by which a citizen wants no messages any more, or wants them again. Pure.

/// What a whole message can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// No messages any more.
    Stop,
    /// Messages again.
    Start,
}

/// The keyword that a text is, whatever its case, spaces and punctuation. A sentence that has the word in it is none.
pub fn keyword(text: &str) -> Option<Keyword> {
    // longer texts cannot be one: nothing of them is copied
    if text.len() > 64 {
        return None;
    }
    let word: String = text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match word.as_str() {
        "stop" | "stopall" | "stopp" | "annulla" | "unsubscribe" => Some(Keyword::Stop),
        "start" | "unstop" => Some(Keyword::Start),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_the_whole_message() {
        for (text, expected) in [
            ("STOP", Some(Keyword::Stop)),
            (" stop. ", Some(Keyword::Stop)),
            ("\u{ab}Stop!\u{bb}\r\n", Some(Keyword::Stop)),
            ("S T O P", Some(Keyword::Stop)),
            ("Stop all", Some(Keyword::Stop)),
            ("Annulla", Some(Keyword::Stop)),
            ("START", Some(Keyword::Start)),
            ("start :)", Some(Keyword::Start)),
            ("Stop al cantiere di via Roma", None),
            ("Annullare l'appuntamento", None),
            ("non stop", None),
            ("", None),
            ("...", None),
            (&format!("stop{}", " ".repeat(80)), None),
        ] {
            assert_eq!(keyword(text), expected, "{text}");
        }
    }
}
