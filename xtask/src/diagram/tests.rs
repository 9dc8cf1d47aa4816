use super::*;

#[test]
fn checked_in_diagrams_are_up_to_date() {
    generate(true).unwrap();
}

#[test]
fn faults_of_a_source_are_errors_with_line_and_cause() {
    let fault = |line: &str| {
        let source = format!("canvas 300 100\nbox a 10 10 100 60 kms | A\n{line}");
        let error = draw(&source, &THEMES[0]).unwrap_err();
        format!("{error:#}")
    };
    for (line, cause) in [
        ("box b 10 10 60 60 kms | far too long a title", "needs"),
        ("box b 10 10 60 20 kms | B", "too low"),
        ("box b 10 10 60 60 blue | B", "unknown kind \"blue\""),
        ("arrow a.right b.left", "no box \"b\""),
        ("arrow a.right a.below", "unknown side \"below\""),
        ("circle 1 2 3", "unknown command"),
        ("zone 1 2 3 | Z", "X Y WIDTH HEIGHT"),
    ] {
        let text = fault(line);
        assert!(
            text.starts_with("line 3: ") && text.contains(cause),
            "{line}: {text}"
        );
    }
}

#[test]
fn markup_in_texts_is_escaped() {
    let svg = draw("canvas 300 100\nkey 1 2 kms | <a> & b", &THEMES[1]).unwrap();
    assert!(svg.contains("&lt;a&gt; &amp; b"), "{svg}");
}
