use super::{
    super::{
        Precision,
        bert::{Bert, Scratch},
        team::Team,
        weights::Weights,
    },
    tiny,
};

fn bert(precision: Precision) -> Bert {
    let dir = tempfile::tempdir().unwrap();
    tiny::write(dir.path());
    let config = serde_json::from_value(tiny::config()).unwrap();
    Bert::new(config, &mut Weights::read(&dir.path().join("model.safetensors")).unwrap(), precision).unwrap()
}

#[test]
fn two_members_make_the_vector_that_one_thread_makes_to_the_last_bit() {
    for precision in [Precision::F32, Precision::Int8] {
        let bert = bert(precision);
        for length in 1..32 {
            let ids: Vec<u32> = (0..length).map(|token| token * 5 % 14).collect();
            let alone = bert.embed(std::slice::from_ref(&ids), &mut Scratch::default(), &mut || {}).remove(0);
            let team = Team::default();
            let together = std::thread::scope(|scope| {
                let other = scope.spawn(|| bert.embed_as_member(&ids, 1, &team, &mut Scratch::default()));
                let vector = bert.embed_as_member(&ids, 0, &team, &mut Scratch::default());
                assert_eq!(other.join().unwrap(), None);
                vector
            });
            assert_eq!(together, Some(alone), "{precision:?}, {length} tokens");
        }
    }
}

#[test]
fn a_member_whose_colleague_died_gives_up_instead_of_waiting() {
    let team = Team::default();
    drop(team.leaving());
    assert_eq!(bert(Precision::F32).embed_as_member(&[2, 7, 3], 0, &team, &mut Scratch::default()), None);
}
