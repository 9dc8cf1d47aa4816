use super::*;

#[test]
fn renewed_five_minutes_or_a_tenth_ahead_but_not_in_the_first_half() {
    for (life, ahead) in [
        (7200, 720),
        (3600, 360),
        (3000, 300),
        (1000, 300),
        (600, 300),
        (400, 200),
        (10, 5),
        (1, 0),
        (0, 0),
    ] {
        assert_eq!(renewal(1000, 1000 + life), 1000 + life - ahead, "{life}");
    }
    assert_eq!(renewal(1000, 900), 900, "over already");
}
