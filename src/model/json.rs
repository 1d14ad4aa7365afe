//! JSON into a buffer that hardly ever has to grow: rows, events and frames are mostly shorter than this, and each growth of a
//! small buffer is an allocation and a copy.

use serde::Serialize;

/// What nearly everything of ours fits into, bytes.
const USUAL_BYTES: usize = 1024;

/// A value as JSON bytes.
pub fn to_vec<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut bytes, value)?;
    Ok(bytes)
}

/// A value as JSON text.
pub fn to_string<T: Serialize>(value: &T) -> serde_json::Result<String> {
    Ok(String::from_utf8(to_vec(value)?).expect("JSON is UTF-8"))
}

/// What serde says is wrong, without the value that is: an address, a number or a text may stand in its place, and the sentence goes to
/// logs and lists. Serde writes it as `invalid type: string "…", expected …`; a value can hold anything but the last `, expected`.
pub fn blame(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let value = said.find("invalid type: ").or_else(|| said.find("invalid value: ")).map(|at| at + said[at..].find(": ").unwrap_or(0) + 2);
    let expected = said.rfind(", expected");
    match (value, expected) {
        (Some(value), Some(expected)) if value < expected => {
            let kind: String = said[value..expected].chars().take_while(|c| c.is_ascii_alphabetic() || *c == ' ').collect();
            format!("{}{}{}", &said[..value], kind.trim_end(), &said[expected..])
        }
        _ => match said.find("unknown variant `").zip(said.rfind("`, expected")) {
            Some((start, end)) if start < end => format!("{}unknown variant{}", &said[..start], &said[end + 1..]),
            _ => said,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Said {
        #[serde(rename = "n")]
        _number: u8,
        #[serde(rename = "t")]
        _text: Option<String>,
        #[serde(rename = "k")]
        _kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        Mail,
    }

    #[test]
    fn an_error_says_what_is_wrong_and_not_what_was_said() {
        for (text, says) in [
            (r#"{"n":"mario@example.it, expected nothing"}"#, "invalid type: string, expected u8"),
            (r#"{"n":393331234567}"#, "invalid value: integer, expected u8"),
            (r#"{"n":1,"t":393331234567}"#, "invalid type: integer, expected a string"),
            (r#"{"n":1,"t":3.25}"#, "invalid type: floating point, expected a string"),
            (r#"{"n":null}"#, "invalid type: null, expected u8"),
            (r#"{"n":1,"k":"mario@example.it"}"#, "unknown variant, expected `Mail`"),
            (r#"{"t":"x"}"#, "missing field `n`"),
            ("[", "EOF while parsing a list"),
        ] {
            let said = super::blame(&serde_json::from_str::<Said>(text).expect_err(text));
            assert!(said.starts_with(says) && !said.contains("mario") && !said.contains("39333"), "{text}: {said}");
        }
    }

    #[test]
    fn it_is_what_serde_json_writes() {
        let long = "è".repeat(super::USUAL_BYTES);
        for value in [serde_json::json!({"a": [1, null, "è"]}), serde_json::json!(long)] {
            assert_eq!(super::to_string(&value).expect("plain data"), serde_json::to_string(&value).expect("plain data"));
        }
    }
}
