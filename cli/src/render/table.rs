//! Tables with round corners, as wide as what is in them.

use comfy_table::{ContentArrangement, Table};

use super::text::printable;

/// Borders, in the order the library names them: a line below the head and none between rows.
const BORDERS: &str = "││──├─┼┤│    ┬┴╭╮╰╯";

/// A table. Cells may have several lines; their control characters are made visible.
pub(crate) fn table<S: AsRef<str>>(
    head: impl IntoIterator<Item = S>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table
        .load_preset(BORDERS)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head.into_iter().map(|text| cell(text.as_ref())))
        .add_rows(
            rows.into_iter()
                .map(|row| row.iter().map(|text| cell(text)).collect::<Vec<_>>()),
        );
    format!("{table}\n")
}

/// A tab would break the borders.
fn cell(text: &str) -> String {
    printable(text).replace('\t', "    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_hold_whatever_is_in_the_cells() {
        let rows = [
            vec!["node1.example.net".to_owned(), "1795587798".to_owned()],
            vec!["n2".to_owned(), "{\n  \"a\": \"ö\"\n}".to_owned()],
            vec!["n3\u{1b}[2J".to_owned(), "a\tb".to_owned()],
        ];
        insta::assert_snapshot!(table(["Sender", "Timestamp"], rows));
    }

    #[test]
    fn it_looks_as_the_recorded_one() {
        let recorded = include_str!("../../../testdata/choria-0.30.2/cli/req_ping_table.txt");
        let start = recorded.find('╭').unwrap();
        let end = recorded.find('╯').unwrap() + '╯'.len_utf8();
        let rows = ["node1", "node2", "node3"]
            .map(|node| vec![format!("{node}.example.net"), "1795587798".to_owned()]);
        let drawn = table(["Sender", "Timestamp"], rows);
        assert_eq!(drawn, format!("{}\n", &recorded[start..end]));
    }
}
