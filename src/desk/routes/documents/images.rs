//! Puts the images that came with a mail into its HTML, in one pass: each place costs its image's bytes, however often an image is
//! named. Pure.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::model::conversation::Attachment;

/// Image types that may be shown inside a message. No SVG: it is a program.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// The largest image put into a message's HTML, in bytes.
const IMAGE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// The most bytes of images in one document, an image that stands in it twice counted twice.
const IMAGES_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How often one image is put in.
const TIMES_MAX: usize = 4;
/// How a document names an image that came with it, with the quotation mark before it.
const NAME_BEGINS: &str = "\"cid:";

/// Whether it may be shown.
pub fn is_image(media_type: &str) -> bool {
    IMAGES.iter().any(|image| media_type.eq_ignore_ascii_case(image))
}

fn is_content_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"@.-_+$%=".contains(&b))
}

/// A document and where its images go.
#[derive(Debug)]
pub struct Document {
    html: String,
    /// What is replaced, quotation marks included, and by which attachment.
    places: Vec<(Range<usize>, usize)>,
}

impl Document {
    /// Finds the places. What is no image, too large or more than a document holds gets none.
    pub fn of(html: String, attachments: &[Attachment]) -> Self {
        let mut by_id = HashMap::new();
        for (index, file) in attachments.iter().enumerate() {
            let fits = is_image(&file.media_type) && file.blob.size <= IMAGE_BYTES_MAX;
            if let Some(id) = file.content_id.as_deref().filter(|id| fits && is_content_id(id)) {
                by_id.entry(id).or_insert((index, TIMES_MAX));
            }
        }
        let (mut places, mut left, mut from) = (Vec::new(), IMAGES_BYTES_MAX, 0);
        while let Some(at) = html[from..].find(NAME_BEGINS).map(|at| from + at) {
            let name = at + NAME_BEGINS.len();
            let Some(end) = html[name..].find('"').map(|length| name + length) else { break };
            // the mark that ends one name may begin the next
            from = end;
            let Some((index, times)) = by_id.get_mut(&html[name..end]) else { continue };
            let size = attachments[*index].blob.size;
            if *times > 0 && size <= left {
                (*times, left, from) = (*times - 1, left - size, end + 1);
                places.push((at..end + 1, *index));
            }
        }
        Self { html, places }
    }

    /// The attachments that have a place.
    pub fn wanted(&self) -> BTreeSet<usize> {
        self.places.iter().map(|(_, index)| *index).collect()
    }

    /// The document with its images in it. What could not be read stays a broken image.
    pub fn with(self, images: &HashMap<usize, (String, Bytes)>) -> String {
        let inside: usize = self.places.iter().filter_map(|(_, index)| images.get(index)).map(|(_, bytes)| bytes.len() * 4 / 3 + 64).sum();
        let mut result = String::with_capacity(self.html.len() + inside);
        let mut from = 0;
        for (place, index) in &self.places {
            let Some((media_type, bytes)) = images.get(index) else { continue };
            result.push_str(&self.html[from..place.start]);
            result.push_str("\"data:");
            result.push_str(&media_type.to_ascii_lowercase());
            result.push_str(";base64,");
            STANDARD.encode_string(bytes, &mut result);
            result.push('"');
            from = place.end;
        }
        result.push_str(&self.html[from..]);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::conversation::BlobRef;

    fn file(id: &str, media_type: &str, size: u64) -> Attachment {
        let blob = BlobRef { key: id.to_owned(), sha256: String::new(), size };
        Attachment { name: id.to_owned(), media_type: media_type.to_owned(), content_id: Some(id.to_owned()), blob }
    }

    /// With the bytes `PNG` for every image that has a place.
    fn shown(html: &str, attachments: &[Attachment]) -> String {
        let document = Document::of(html.to_owned(), attachments);
        let bytes = |index: usize| (index, (attachments[index].media_type.clone(), Bytes::from_static(b"PNG")));
        let images = document.wanted().into_iter().map(bytes).collect();
        document.with(&images)
    }

    #[test]
    fn only_plain_images_are_shown() {
        assert!(is_image("IMAGE/PNG"));
        assert!(!is_image("image/svg+xml"));
        assert!(!is_image("text/html"));
        assert!(!is_content_id("x\" onerror=\"alert(1)"));
    }

    #[test]
    fn images_stand_where_they_are_named() {
        let attachments = [
            file("a@x", "IMAGE/PNG", 3),
            file("b@x", "image/gif", 3),
            file("svg@x", "image/svg+xml", 3),
            file("large@x", "image/png", IMAGE_BYTES_MAX + 1),
            file("a@x", "image/gif", 3),
        ];
        let (a, b) = ("\"data:image/png;base64,UE5H\"", "\"data:image/gif;base64,UE5H\"");
        for (html, expected) in [
            (String::new(), String::new()),
            ("<p>\"ciao\"".to_owned(), "<p>\"ciao\"".to_owned()),
            ("è<img src=\"cid:a@x\">è".to_owned(), format!("è<img src={a}>è")),
            ("\"cid:b@x\"\"cid:a@x\"\"cid:b@x\"".to_owned(), format!("{b}{a}{b}")),
            ("\"cid:none@x\"cid:a@x\"".to_owned(), format!("\"cid:none@x{a}")),
            ("\"cid:a@x".to_owned(), "\"cid:a@x".to_owned()),
            ("'cid:a@x' \"cid:svg@x\" \"cid:large@x\" \"cid:\"".to_owned(), "'cid:a@x' \"cid:svg@x\" \"cid:large@x\" \"cid:\"".to_owned()),
            ("\"cid:a@x\"".repeat(6), format!("{}{}", a.repeat(4), "\"cid:a@x\"".repeat(2))),
        ] {
            assert_eq!(shown(&html, &attachments), expected, "{html}");
        }
    }

    /// Many images, each named as often as it may be: no more goes in than a document holds, and nothing is read for the rest.
    #[test]
    fn every_place_counts() {
        let size = IMAGE_BYTES_MAX / 2;
        let attachments: Vec<Attachment> = (0..200).map(|number| file(&format!("{number}@x"), "image/png", size)).collect();
        let html: String = (0..200).map(|number| format!("\"cid:{number}@x\"").repeat(4)).collect();
        let document = Document::of(html, &attachments);
        let bytes: u64 = document.places.iter().map(|(_, index)| attachments[*index].blob.size).sum();
        assert_eq!((document.places.len(), bytes, document.wanted()), (8, IMAGES_BYTES_MAX, BTreeSet::from([0, 1])));
    }

    #[test]
    fn what_cannot_be_read_stays_broken() {
        let html = "<img src=\"cid:a@x\"><p>ciao";
        let document = Document::of(html.to_owned(), &[file("a@x", "image/png", 3)]);
        assert_eq!(document.with(&HashMap::new()), html);
    }
}
