from pipeline.stages import STAGES


def test_every_stage_reads_a_record_that_a_stage_before_it_writes():
    written = []
    for stage in STAGES:
        if stage.reads is None:
            assert stage.over == "cards"
        else:
            assert any(stage.reads.equals(record) for record in written), stage.name
        written += stage.writes.values()
    assert len(written) > len(STAGES)


def test_a_setting_that_names_files_is_a_setting_of_its_stage():
    named = [(stage, name) for stage in STAGES for name in stage.files]
    assert named
    assert all(name in stage.config.model_fields for stage, name in named)
