//! Writes the AsyncAPI document of the public contract to standard output, as `sportello asyncapi` does.
fn main() {
    let document = sportello::model::contract::asyncapi_document("it.example.sportello");
    println!("{}", serde_json::to_string_pretty(&document).expect("a value writes"));
}
