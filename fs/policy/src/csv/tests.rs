use super::*;

fn rows(text: &str) -> Vec<(u64, Vec<Option<String>>)> {
    let table = parse("t.csv", text.as_bytes(), &LITEFILE).unwrap();
    table
        .rows
        .into_iter()
        .map(|row| (row.line, row.fields))
        .collect()
}

fn refused(text: &str) -> String {
    parse("t.csv", text.as_bytes(), &LITEFILE)
        .unwrap_err()
        .to_string()
}

const HEADER: &str = "#image,file,options,comments,disable\n";

fn cells(row: &str) -> Vec<Option<String>> {
    rows(&format!("{HEADER}{row}\n")).pop().unwrap().1
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn accepted_forms_of_one_row() {
    let plain = vec![some("ALL"), some("/tmp/"), None, None, None];
    for row in [
        "\"ALL\",\"/tmp/\",,,",  // tabdump
        "\"ALL\",\"/tmp/\",,,,", // one extra trailing comma
        "\"ALL\",\"/tmp/\"",     // trailing fields missing
        "\"ALL\",\"/tmp/\",",
        "ALL,/tmp/,,,", // unquoted
        "ALL,\"/tmp/\"",
        "ALL,/tmp/\r",
        "\"ALL\",\"/tmp/\"\r",
        "\"ALL\",\"/tmp/\" \t",
        "ALL,/tmp/  ",
        "ALL,/tmp/,, ",
    ] {
        assert_eq!(cells(row), plain, "{row:?}");
    }
}

#[test]
fn null_is_not_the_empty_string() {
    assert_eq!(
        cells(",\"/a\",\"\",,"),
        vec![None, some("/a"), some(""), None, None]
    );
}

#[test]
fn quotes_and_commas_and_newlines_inside_quotes() {
    assert_eq!(
        cells("\"A\",\"/a\",,\"a \"\"b\"\", c\",\"\"\"\""),
        vec![some("A"), some("/a"), None, some("a \"b\", c"), some("\"")]
    );
    let text = format!("{HEADER}\"A\",\"/a\",,\"one\ntwo\n\",\n\n\"B\",\"/b\",,,");
    let lines: Vec<u64> = rows(&text).iter().map(|row| row.0).collect();
    assert_eq!(lines, [2, 6]);
}

#[test]
fn cookbook_spacing_is_refused_by_line_and_column() {
    let text = format!("{HEADER}\"ALL\",\"/ok\",,,\n\"ALL\", \"/etc/x\",,,,\n");
    assert_eq!(
        refused(&text),
        "t.csv:3: column file: field 2: whitespace before the opening quote"
    );
}

#[test]
fn malformed_rows_are_all_reported() {
    let text = format!(
        "{HEADER}\"ALL\",\"/a\" ,,,\n\"A\",\"/a\",,,,,\n#\"A\",\"/b\"\nA,b\"c\n\"A\",\"/ok\"\n\"A\",/x,,,,\"\"\n\"A\",\"x\n\n"
    );
    assert_eq!(
        refused(&text).lines().collect::<Vec<_>>(),
        [
            "t.csv:2: column file: field 2: text after the closing quote",
            "t.csv:3: field 6: 7 fields, the header has 5",
            "t.csv:4: a table has no comment lines; to switch a row off set its disable column to 1",
            "t.csv:5: column file: field 2: a quote inside an unquoted value",
            "t.csv:7: field 6: 6 fields, the header has 5",
            "t.csv:8: column file: field 2: the opening quote is never closed",
        ]
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    let mut text = HEADER.as_bytes().to_vec();
    text.extend_from_slice(b"\"ALL\",\"/a\",,\"caf\xe9\",\n");
    let refusals = parse("t.csv", &text, &LITEFILE).unwrap_err();
    assert_eq!(
        refusals.to_string(),
        "t.csv:2: column comments: field 4: not UTF-8"
    );
}

#[test]
fn headers() {
    assert!(refused("").starts_with("t.csv:1: no header line: expected \"#image,file,"));
    assert!(refused("image,file,options\n").contains("no header line"));
    assert_eq!(
        refused("#image,file,file,option\n"),
        "t.csv:1: column file: field 3: the column is named twice\n\
         t.csv:1: column option: field 4: the litefile table has no column \"option\"\n\
         t.csv:1: column options: the header lacks this column"
    );
    for text in ["#file,image,options", "#\"file\",\"image\",\"options\"  "] {
        assert_eq!(
            parse("t", text.as_bytes(), &LITEFILE).unwrap().columns,
            ["file", "image", "options"]
        );
    }
}

#[test]
fn headers_with_and_without_mntopts() {
    for schema in [LITETREE, STATELITE] {
        let names = |skip: &str| {
            let names: Vec<_> = schema
                .columns
                .iter()
                .map(|column| column.name)
                .filter(|name| *name != skip)
                .collect();
            format!("#{}\n\"1\",,\"s:/d\"\n", names.join(","))
        };
        for text in [names(""), names("mntopts")] {
            let table = parse("t", text.as_bytes(), &schema).unwrap();
            assert_eq!(table.rows[0].fields.len(), table.columns.len());
            assert_eq!(table.get(&table.rows[0], "mntopts"), None);
            assert_eq!(
                table.get(&table.rows[0], schema.columns[2].name),
                Some("s:/d")
            );
        }
    }
}

#[test]
fn writer_prints_the_form_of_tabdump() {
    let text = format!("{HEADER}ALL,/tmp/\n\"a\",\"/b\"\"c\",ro,\"\",1\n");
    let table = parse("t", text.as_bytes(), &LITEFILE).unwrap();
    assert_eq!(
        write(&table),
        format!("{HEADER}\"ALL\",\"/tmp/\",,,\n\"a\",\"/b\"\"c\",\"ro\",,\"1\"\n")
    );
}
