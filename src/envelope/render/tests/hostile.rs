//! Hostile texts cost no more than the format allows. The tests assert byte counts and stack sizes, never elapsed
//! time.

use super::super::ast::{Expr, Node};
use super::super::{MAX_HANDLED, MAX_TEXT, RenderErrorKind, Text};
use super::support::{MIB, VALUES, evaluating, measure};

/// Texts that would far exceed the limits, and the limit that stops each.
#[test]
fn amplifying_texts_fail_before_the_work_is_done() {
    use RenderErrorKind::{ResultTooLarge, TooMuchWork};
    let mib = vec![b'a'; MIB];
    let some = vec![b'a'; 60_000];
    let bells = vec![7; 300_000];
    let chain = |item: &str, count: usize| vec![item; count].join("~");
    let or = |condition: &str, count: usize| evaluating(&vec![condition; count].join(" or "));
    let filters = |count: usize| evaluating(&format!("v.some{}", "|upper|lower".repeat(count)));
    #[rustfmt::skip] // one case per line
    let cases: Vec<(&str, Vec<String>, RenderErrorKind)> = vec![
        // 2^40 bytes: too many to compute first and refuse afterwards.
        ("replace with the value itself", vec![evaluating("v.mib|replace('a', v.mib)")], ResultTooLarge),
        ("replace in replace", vec![evaluating("v.some|replace('a', 'aa'|replace('a', v.some))")], ResultTooLarge),
        ("joined to itself", vec![evaluating("v.mib ~ v.mib")], ResultTooLarge),
        ("a long chain of joins", vec![format!("<%={}%>", chain("v.some", 9_000))], TooMuchWork),
        ("a chain of short joins", vec![evaluating(&chain("'aaaaaaaaaaaaaaaaaaaa'", 2_700))], TooMuchWork),
        ("joined in parentheses", vec![evaluating("((v.mib ~ '') ~ '') ~ (v.mib ~ '')")], ResultTooLarge),
        ("JSON of control characters", vec![evaluating("v.bells|tojson")], ResultTooLarge),
        ("JSON of JSON", vec![evaluating(&format!( "v.some{}", "|tojson|replace('a', '\\n')".repeat(8) ))], TooMuchWork),
        ("URL of URL of URL", vec![evaluating("v.bells|urlencode|urlencode|urlencode|urlencode")], ResultTooLarge),
        ("base64 of base64", vec![evaluating(&format!("v.some{}", "|b64encode".repeat(40)))], ResultTooLarge),
        ("base64 encoded and decoded", vec![evaluating(&format!("v.some{}", "|b64encode|b64decode".repeat(2_000)))], TooMuchWork),
        ("a long chain of filters", vec![filters(5_000)], TooMuchWork),
        ("hashes of large values", vec![or("v.mib|sha256 == ''", 9)], TooMuchWork),
        ("a long chain of hashes", vec![evaluating(&format!("v.some{}", "|sha256".repeat(8_000))); 10], TooMuchWork),
        ("inputs of filters", vec![or("v.bells|trim == 'a'", 2_000)], TooMuchWork),
        ("inputs of comparisons", vec![or("v.mib == v.some", 2_000)], TooMuchWork),
        ("arguments", vec![or("'b'|replace(v.mib, '') == ''", 2_000)], TooMuchWork),
        ("worst-case searches", vec![or("v.mib|replace(v.some ~ 'b' ~ v.some, '') == ''", 900)], TooMuchWork),
        ("many texts together", vec![or("v.some|upper == ''", 10); 64], TooMuchWork),
        ("many elif branches", vec![format!( "<% if false %>{}<% endif %>", "<% elif v.mib == '' %>".repeat(2_000) )], TooMuchWork),
    ];
    let values: [(&str, &[u8]); 3] = [("mib", &mib), ("some", &some), ("bells", &bells)];
    for (name, texts, kind) in cases {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (handled, result) = measure(&texts, &values);
        assert_eq!(result, Err(kind), "{name}");
        // The step over the limit was counted but not executed; its operands and result are at most 4 MiB.
        assert!(handled <= MAX_HANDLED + 4 * MIB, "{name}: {handled}");
    }
}

/// The cost of a long valid text is at most proportional to its length.
#[test]
fn long_valid_texts_render() {
    let fill = |begin: &str, step: &str, end: &str| {
        format!(
            "{begin}{}{end}",
            step.repeat((MAX_TEXT - begin.len() - end.len()) / step.len())
        )
    };
    let steps = |step: &str, around: usize| (MAX_TEXT - around) / step.len();
    let cases = [
        (fill("", "<%#%>", ""), 0),
        (fill("", "<%=''%>", ""), 0),
        (fill("", "<%='a'%>", ""), steps("<%='a'%>", 0)),
        (fill("", "<%#%>a", ""), steps("<%#%>a", 0)),
        (fill("", "<%if''%><%endif%>", ""), 0),
        (fill("<%=''", "~''", "%>"), 0),
        (fill("<%=v.empty", "|trim", "%>"), 0),
        (fill("<%if true", " or true", "%>a<%endif%>"), 1),
        (fill("<%if true", " and not''", "%>a<%endif%>"), 1),
        (fill("<%if''", "%><%elif''", "%><%endif%>"), 0),
        (
            fill("<%if v.none is defined", " or v.none is defined", "%><%endif%>"),
            0,
        ),
        (fill("<%=''", "|replace('a','a')", "%>"), 0),
        (fill("<%='", "\\n", "'%>"), steps("\\n", 7)),
        (fill("<%=v['", "a", "']|default('b')%>"), 1),
        (fill("<%= ", " \n", "'a'%>"), 1),
        (fill("<%#-%>", " \n", "<%#-%>"), 0),
        (fill("", "<", ""), MAX_TEXT),
        (fill("", "%>", ""), MAX_TEXT),
    ];
    for (text, written) in cases {
        assert!(text.len() > MAX_TEXT - 100 && text.len() <= MAX_TEXT);
        assert_eq!(measure(&[&text], &VALUES).1, Ok(written), "{text:.40}");
    }
    // As many texts as a document can have; each is evaluated once.
    let literals = fill("", "<%='a'%>", "");
    let (handled, result) = measure(&vec![literals.as_str(); 64], &VALUES);
    assert_eq!((handled, result), (64 * 8_192, Ok(64 * 8_192)));
}

/// 65,536 bytes of opening constructs are refused at the start of the 33rd level, on a small stack.
#[test]
fn deeply_nested_text_is_refused_at_the_33rd_level() {
    let cases = [
        ("<%=", "(", 4 + 32),
        ("<%= ", "not ", 5 + 33 * 4),
        ("", "<%if true%>", 1 + 32 * 11 + 5),
        ("", "<%if true%><%else%>", 1 + 32 * 19 + 5),
        ("<%=", "'a'|replace(", 4 + 32 * 12 + 11),
        ("<%=", "v.a|default(", 4 + 32 * 12 + 11),
        ("<%if ", "((not ", 6 + 10 * 6 + 1),
    ];
    on_small_stack(move || {
        for (begin, step, column) in cases {
            let text = format!("{begin}{}", step.repeat((MAX_TEXT - begin.len()) / step.len()));
            let error = Text::parse(&text).expect_err(step);
            assert!(error.what.contains("32 deep"), "{step}: {error}");
            assert_eq!((error.line, error.column), (1, column), "{step}");
        }
    });
}

/// The deepest possible texts, with the widest levels, in every traversal: parse, clone, compare, format, render,
/// drop.
#[test]
fn deepest_valid_texts_fit_on_a_small_stack() {
    let wide = "false or true and 'a' ~ 'b' == ('a' ~ 'b')|replace('', ";
    let texts = [
        format!(
            "<% if {}true{} %>a<% endif %>",
            "false or true and (".repeat(31),
            ")".repeat(31)
        ),
        format!("<% if {}true %>a<% endif %>", "not ".repeat(31)),
        format!(
            "<%= {}'a'{} %>",
            "'x' ~ v.none|default(".repeat(32),
            ")".repeat(32)
        ),
        format!(
            "<%= {}'a'{} %>",
            "'x' ~ 'y'|upper|replace('a', ".repeat(32),
            ")".repeat(32)
        ),
        format!(
            "{}a{}",
            "<% if false %><% else %>".repeat(32),
            "<% endif %>".repeat(32)
        ),
        format!(
            "<% if {wide}{}'a'{}) %>a<% endif %>",
            "(".repeat(29),
            ")".repeat(29)
        ),
    ];
    on_small_stack(move || {
        for text in &texts {
            let parsed = Text::parse(text).expect("a valid text");
            assert_eq!(parsed.clone(), parsed);
            assert!(format!("{parsed:?}").len() > text.len());
            let _ = measure(&[text], &VALUES);
        }
    });
}

/// Runs a test on a quarter of the stack of a runtime thread, in unoptimized code.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(test);
    thread
        .expect("a thread")
        .join()
        .expect("the test on the small stack passes");
}

/// Keeps the memory of a parsed text a small multiple of the length of its source.
#[test]
fn syntax_tree_nodes_are_small() {
    assert!(size_of::<Expr>() <= 32, "{}", size_of::<Expr>());
    assert!(size_of::<Node>() <= 40, "{}", size_of::<Node>());
}
