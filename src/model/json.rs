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

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_what_serde_json_writes() {
        let long = "è".repeat(super::USUAL_BYTES);
        for value in [serde_json::json!({"a": [1, null, "è"]}), serde_json::json!(long)] {
            assert_eq!(super::to_string(&value).expect("plain data"), serde_json::to_string(&value).expect("plain data"));
        }
    }
}
