//! Which language a message is in. The detector takes 29 MB, so it is made only when a plan asks for the language.

use std::sync::OnceLock;

use lingua::{Language as Detected, LanguageDetector, LanguageDetectorBuilder};

use crate::model::channel::Language;
use crate::plan::Plan;

/// Fewer words than this say too little: «grazie» is Italian, «ok» is anything.
const WORDS_MIN: usize = 3;
/// As much of a text as is looked at, in characters.
const CHARACTERS_MAX: usize = 600;

static DETECTOR: OnceLock<LanguageDetector> = OnceLock::new();

/// Whether any decision under the plan depends on the language of a text.
pub fn is_needed(plan: &Plan) -> bool {
    plan.queues.values().any(|queue| queue.match_language) || plan.administrations.values().any(|body| body.languages.len() > 1)
}

/// The language of a text, if it is long enough to tell.
pub fn detect(text: &str) -> Option<Language> {
    text.split_whitespace().nth(WORDS_MIN - 1)?;
    let beginning: String = text.chars().take(CHARACTERS_MAX).collect();
    let detector = DETECTOR.get_or_init(|| {
        let languages = [Detected::Italian, Detected::German, Detected::French, Detected::Slovene, Detected::English];
        LanguageDetectorBuilder::from_languages(&languages).build()
    });
    let code = match detector.detect_language_of(beginning)? {
        Detected::Italian => "it",
        Detected::German => "de",
        Detected::French => "fr",
        Detected::Slovene => "sl",
        Detected::English => "en",
    };
    Language::new(code).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_citizens_sentences_apart() {
        for (text, code) in [
            ("Buongiorno, vorrei sapere come pagare la TARI.", Some("it")),
            ("Guten Tag, ich möchte meinen Wohnsitz ändern.", Some("de")),
            ("Bonjour, je voudrais renouveler ma carte d'identité.", Some("fr")),
            ("ok", None),
            ("", None),
        ] {
            assert_eq!(detect(text).map(|language| language.to_string()).as_deref(), code, "{text}");
        }
    }
}
