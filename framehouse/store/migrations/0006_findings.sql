-- What rulesets found in videos: the uses of the archive. Made again from lake/findings like everything else.

CREATE TABLE findings (
    ruleset_id    VARCHAR NOT NULL,
    video_id      VARCHAR NOT NULL,
    name          VARCHAR NOT NULL,
    input_digest  VARCHAR NOT NULL,
    model_digests VARCHAR[] NOT NULL,
    n_events      BIGINT NOT NULL,
    n_scenes      BIGINT NOT NULL,
    n_tracks      BIGINT NOT NULL,
    judged_s      DOUBLE NOT NULL,
    unjudged_s    DOUBLE NOT NULL,
    made_at       TIMESTAMP NOT NULL,
    first_at      TIMESTAMP NOT NULL
);
COMMENT ON TABLE findings IS 'Grain: one ruleset in one video: that it was asked, also when it found nothing, and how much of the video could be judged.';
COMMENT ON COLUMN findings.ruleset_id IS 'The ruleset';
COMMENT ON COLUMN findings.video_id IS 'The video';
COMMENT ON COLUMN findings.name IS 'Name that the ruleset was given this time; empty for none';
COMMENT ON COLUMN findings.input_digest IS 'Digest of what it was made from: another one after more frames were inferred';
COMMENT ON COLUMN findings.model_digests IS 'Models whose rows it was made from; empty where it was made from pixels';
COMMENT ON COLUMN findings.n_events IS 'Rows of events';
COMMENT ON COLUMN findings.n_scenes IS 'Rows of scenes';
COMMENT ON COLUMN findings.n_tracks IS 'Different tracks in the rows of tracks';
COMMENT ON COLUMN findings.judged_s IS 'Seconds of the video that could be judged';
COMMENT ON COLUMN findings.unjudged_s IS 'Seconds that could not: gaps, and what no model was asked about';
COMMENT ON COLUMN findings.made_at IS 'When it was made, UTC';
COMMENT ON COLUMN findings.first_at IS 'When this ruleset was first asked about this video, UTC';

CREATE TABLE rulesets (
    ruleset_id    VARCHAR PRIMARY KEY,
    kind          VARCHAR NOT NULL,
    name          VARCHAR NOT NULL,
    params        JSON NOT NULL,
    version       INTEGER NOT NULL,
    first_used_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE rulesets IS 'Grain: one question with its parameters, asked about at least one video.';
COMMENT ON COLUMN rulesets.ruleset_id IS 'r_ and 24 hex digits of a digest of kind, version and params';
COMMENT ON COLUMN rulesets.kind IS 'lines, presence, scenes, policy ...: the command that asks it';
COMMENT ON COLUMN rulesets.name IS 'Name that it was given last; empty for none';
COMMENT ON COLUMN rulesets.params IS 'Its parameters, defaults filled in';
COMMENT ON COLUMN rulesets.version IS 'Version of the algorithm';
COMMENT ON COLUMN rulesets.first_used_at IS 'When it was first asked, UTC';

CREATE TABLE events (
    event_id      VARCHAR NOT NULL,
    ruleset_id    VARCHAR NOT NULL,
    video_id      VARCHAR NOT NULL,
    kind          VARCHAR NOT NULL,
    time_offset_s DOUBLE NOT NULL,
    end_s         DOUBLE,
    frame_offset  BIGINT,
    tracker_id    BIGINT,
    class_name    VARCHAR,
    score         FLOAT,
    facts         JSON NOT NULL
);
COMMENT ON TABLE events IS 'Grain: one thing that a ruleset says happened in a video.';
COMMENT ON COLUMN events.event_id IS 'e_ and 24 hex digits of a digest of ruleset, video, kind, time, track and number among equals';
COMMENT ON COLUMN events.ruleset_id IS 'The ruleset';
COMMENT ON COLUMN events.video_id IS 'The video';
COMMENT ON COLUMN events.kind IS 'line_in, line_out, zone_enter, zone_leave, zone_dwell, presence ...; docs/guide has a page for each use';
COMMENT ON COLUMN events.time_offset_s IS 'When it happens or begins, seconds after the first frame';
COMMENT ON COLUMN events.end_s IS 'When it ends, seconds after the first frame; null for an instant';
COMMENT ON COLUMN events.frame_offset IS 'Frame where it begins, or that shows it best; null for none';
COMMENT ON COLUMN events.tracker_id IS 'Track that it is about; null for none';
COMMENT ON COLUMN events.class_name IS 'Class that it is about; null for none';
COMMENT ON COLUMN events.score IS 'By the ruleset''s own measure; null for none';
COMMENT ON COLUMN events.facts IS 'What else there is to say, a JSON object';

CREATE TABLE scenes (
    ruleset_id         VARCHAR NOT NULL,
    video_id           VARCHAR NOT NULL,
    scene_id           BIGINT NOT NULL,
    start_s            DOUBLE NOT NULL,
    end_s              DOUBLE NOT NULL,
    first_frame_offset BIGINT NOT NULL,
    last_frame_offset  BIGINT NOT NULL,
    facts              JSON NOT NULL
);
COMMENT ON TABLE scenes IS 'Grain: one stretch of a video as a ruleset cuts it.';
COMMENT ON COLUMN scenes.ruleset_id IS 'The ruleset';
COMMENT ON COLUMN scenes.video_id IS 'The video';
COMMENT ON COLUMN scenes.scene_id IS 'From 0 in order of time';
COMMENT ON COLUMN scenes.start_s IS 'Where it begins, seconds after the first frame';
COMMENT ON COLUMN scenes.end_s IS 'Where the next one begins, seconds after the first frame';
COMMENT ON COLUMN scenes.first_frame_offset IS 'Its first frame';
COMMENT ON COLUMN scenes.last_frame_offset IS 'Its last frame';
COMMENT ON COLUMN scenes.facts IS 'What else there is to say, a JSON object';

CREATE TABLE tracks (
    ruleset_id   VARCHAR NOT NULL,
    video_id     VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    frame_offset BIGINT NOT NULL,
    detection_id INTEGER NOT NULL,
    tracker_id   BIGINT NOT NULL
);
COMMENT ON TABLE tracks IS 'Grain: one detection that a ruleset''s tracker gave to a track. Join detections by video_id, model_digest, frame_offset and detection_id.';
COMMENT ON COLUMN tracks.ruleset_id IS 'The ruleset; trackers of different rulesets count on their own';
COMMENT ON COLUMN tracks.video_id IS 'The video';
COMMENT ON COLUMN tracks.model_digest IS 'Model digest of the detection';
COMMENT ON COLUMN tracks.frame_offset IS 'Frame of the detection';
COMMENT ON COLUMN tracks.detection_id IS 'Index of the detection in the frame';
COMMENT ON COLUMN tracks.tracker_id IS 'The track, from 1 in order of first sight; unique within ruleset and video';

COMMENT ON COLUMN loads.kind IS 'parts (video_id and model_digest are set), job (job_id is set), video (video_id is set: where it lies), forget (video_id is set) or finding (video_id is set, and model_digest is the ruleset_id)';
COMMENT ON COLUMN loads.model_digest IS 'Model digest whose parts were loaded, or ruleset_id of a finding';

COMMENT ON MACRO asked_confidence IS 'Threshold that views and macros count from, 0 to 1: the session''s variable confidence when set (SET VARIABLE confidence = 0.6; framehouse sql --confidence), else 0.4 as settings has it';
