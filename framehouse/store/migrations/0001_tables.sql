-- The tables of release 0.1. Truth is the lake; every row here can be made again from it (`framehouse db rebuild`).
-- No primary key on the large tables: an index costs four times the load and must stay in memory. One writer keeps
-- them unique.

CREATE TABLE schema_version (
    version    INTEGER NOT NULL,
    name       VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE schema_version IS 'Grain: one migration that this database has seen.';
COMMENT ON COLUMN schema_version.version IS 'Number of the migration, from 1';
COMMENT ON COLUMN schema_version.name IS 'File name of the migration';
COMMENT ON COLUMN schema_version.applied_at IS 'When it was applied, UTC';

CREATE TABLE loads (
    seq          BIGINT NOT NULL,
    kind         VARCHAR NOT NULL,
    video_id     VARCHAR,
    model_digest VARCHAR,
    job_id       VARCHAR
);
COMMENT ON TABLE loads IS 'Grain: one thing that was loaded (a job, or a video by a model), with its newest load. The largest seq says how far this snapshot has come.';
COMMENT ON COLUMN loads.seq IS 'Number in the load log, rising';
COMMENT ON COLUMN loads.kind IS 'parts (video_id and model_digest are set) or job (job_id is set)';
COMMENT ON COLUMN loads.video_id IS 'Video whose parts were loaded';
COMMENT ON COLUMN loads.model_digest IS 'Model digest whose parts were loaded';
COMMENT ON COLUMN loads.job_id IS 'Job that was loaded';

CREATE TABLE settings (
    name  VARCHAR NOT NULL,
    value VARCHAR NOT NULL
);
COMMENT ON TABLE settings IS 'Grain: one fact about this database.';
COMMENT ON COLUMN settings.name IS 'confidence: least confidence that views count; generation: token of the rebuild that it stems from';
COMMENT ON COLUMN settings.value IS 'The value as text; confidence: 0 to 1';
INSERT INTO settings VALUES ('confidence', '0.4'), ('generation', '');

-- The threshold of the views: the session's variable `confidence` when set, else the default of settings.
CREATE MACRO asked_confidence() AS
    coalesce(getvariable('confidence')::FLOAT, (SELECT min(value)::FLOAT FROM settings WHERE name = 'confidence'));

CREATE TABLE videos (
    video_id       VARCHAR PRIMARY KEY,
    uri            VARCHAR,
    content_sha256 VARCHAR NOT NULL,
    size_bytes     BIGINT NOT NULL,
    container      VARCHAR NOT NULL,
    codec          VARCHAR NOT NULL,
    width          INTEGER NOT NULL,
    height         INTEGER NOT NULL,
    rotation_deg   INTEGER NOT NULL,
    timing         VARCHAR NOT NULL,
    video_fps      DOUBLE,
    video_fps_text VARCHAR NOT NULL,
    n_frames       BIGINT NOT NULL,
    duration_s     DOUBLE NOT NULL,
    first_pts      BIGINT NOT NULL,
    time_base_num  BIGINT NOT NULL,
    time_base_den  BIGINT NOT NULL,
    recorded_at    TIMESTAMP,
    first_seen_at  TIMESTAMP,
    damage         VARCHAR[] NOT NULL,
    labels         MAP(VARCHAR, VARCHAR) NOT NULL
);
COMMENT ON TABLE videos IS 'Grain: one video, known by its content; a copy under another name is the same video.';
COMMENT ON COLUMN videos.video_id IS 'v_ and the first 24 hex digits of content_sha256';
COMMENT ON COLUMN videos.uri IS 'One place where it was seen (video_locations has all); null when other content is there now';
COMMENT ON COLUMN videos.content_sha256 IS 'sha256 of the file, hex';
COMMENT ON COLUMN videos.size_bytes IS 'Size of the file, bytes';
COMMENT ON COLUMN videos.container IS 'Container format: mp4, matroska, mpegts, avi ...';
COMMENT ON COLUMN videos.codec IS 'Video codec: h264, hevc, vp9 ...';
COMMENT ON COLUMN videos.width IS 'Width of the upright picture, pixels';
COMMENT ON COLUMN videos.height IS 'Height of the upright picture, pixels';
COMMENT ON COLUMN videos.rotation_deg IS 'Clockwise turn that made the picture upright: 0, 90, 180, 270 degrees';
COMMENT ON COLUMN videos.timing IS 'exact: times from the container; nominal: index / rate, for want of true times';
COMMENT ON COLUMN videos.video_fps IS 'Measured rate, frames per second: (n_frames - 1) / (last - first time); null for one frame';
COMMENT ON COLUMN videos.video_fps_text IS 'The same rate as an exact fraction, 30000/1001';
COMMENT ON COLUMN videos.n_frames IS 'Frames that the container presents';
COMMENT ON COLUMN videos.duration_s IS 'Duration, seconds';
COMMENT ON COLUMN videos.first_pts IS 'Presentation time of the first frame, ticks of the time base';
COMMENT ON COLUMN videos.time_base_num IS 'Seconds per tick: numerator';
COMMENT ON COLUMN videos.time_base_den IS 'Seconds per tick: denominator';
COMMENT ON COLUMN videos.recorded_at IS 'When the container says it was recorded, UTC';
COMMENT ON COLUMN videos.first_seen_at IS 'When Framehouse first saw this content, UTC';
COMMENT ON COLUMN videos.damage IS 'What is wrong with the file, one line per finding; empty when sound';
COMMENT ON COLUMN videos.labels IS 'Labels given by people: camera, site ...';

CREATE TABLE video_locations (
    uri           VARCHAR PRIMARY KEY,
    video_id      VARCHAR NOT NULL,
    etag          VARCHAR,
    size_bytes    BIGINT,
    modified_at   TIMESTAMP,
    first_seen_at TIMESTAMP,
    gone_at       TIMESTAMP
);
COMMENT ON TABLE video_locations IS 'Grain: one place where a video was seen, with the newest content seen there.';
COMMENT ON COLUMN video_locations.uri IS 'Path or URL, without secrets';
COMMENT ON COLUMN video_locations.video_id IS 'Video that lies there';
COMMENT ON COLUMN video_locations.etag IS 'Entity tag that the source gave';
COMMENT ON COLUMN video_locations.size_bytes IS 'Size there, bytes';
COMMENT ON COLUMN video_locations.modified_at IS 'When the source says it was changed, UTC';
COMMENT ON COLUMN video_locations.first_seen_at IS 'When Framehouse first saw the content, UTC';
COMMENT ON COLUMN video_locations.gone_at IS 'When it was found to be gone, UTC; null while there';

CREATE TABLE jobs (
    job_id        VARCHAR PRIMARY KEY,
    video_id      VARCHAR,
    uri           VARCHAR NOT NULL,
    status        VARCHAR NOT NULL,
    infer_fps     VARCHAR NOT NULL,
    confidence    FLOAT NOT NULL,
    models        VARCHAR[] NOT NULL,
    submitted_at  TIMESTAMP,
    started_at    TIMESTAMP,
    finished_at   TIMESTAMP,
    attempt       INTEGER NOT NULL,
    error_code    VARCHAR,
    error_message VARCHAR,
    error_hint    VARCHAR,
    error_hop     VARCHAR,
    error_second  DOUBLE
);
COMMENT ON TABLE jobs IS 'Grain: one job, that is one video with some models at one rate. A projection of the run records; live state is elsewhere.';
COMMENT ON COLUMN jobs.job_id IS 'j_ and 20 characters; sorts by time of submission';
COMMENT ON COLUMN jobs.video_id IS 'The video; null when the job failed before its content was known';
COMMENT ON COLUMN jobs.uri IS 'Where the video was asked for, without secrets';
COMMENT ON COLUMN jobs.status IS 'queued, running, done, failed or cancelled';
COMMENT ON COLUMN jobs.infer_fps IS 'Asked rate, frames per second, as a number, a fraction, or all';
COMMENT ON COLUMN jobs.confidence IS 'Asked threshold, 0 to 1';
COMMENT ON COLUMN jobs.models IS 'Models asked for, slug/version';
COMMENT ON COLUMN jobs.submitted_at IS 'UTC';
COMMENT ON COLUMN jobs.started_at IS 'UTC';
COMMENT ON COLUMN jobs.finished_at IS 'UTC';
COMMENT ON COLUMN jobs.attempt IS 'Number of the last attempt, from 1';
COMMENT ON COLUMN jobs.error_code IS 'Stable code of the failure: media.truncated ...';
COMMENT ON COLUMN jobs.error_message IS 'The failure in one line';
COMMENT ON COLUMN jobs.error_hint IS 'What to try';
COMMENT ON COLUMN jobs.error_hop IS 'Hop that failed: fetch, probe, plan, infer or load';
COMMENT ON COLUMN jobs.error_second IS 'Second of the video where it failed; null when it is not about a place';

CREATE TABLE job_frames (
    job_id       VARCHAR NOT NULL,
    frame_offset BIGINT NOT NULL,
    target_s     DOUBLE NOT NULL
);
COMMENT ON TABLE job_frames IS 'Grain: one frame that a job asked for: its plan.';
COMMENT ON COLUMN job_frames.job_id IS 'The job';
COMMENT ON COLUMN job_frames.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN job_frames.target_s IS 'Time asked for, seconds after the first frame; the frame is the nearest one';

CREATE TABLE frames (
    video_id      VARCHAR NOT NULL,
    frame_offset  BIGINT NOT NULL,
    pts           BIGINT NOT NULL,
    time_offset_s DOUBLE
);
COMMENT ON TABLE frames IS 'Grain: one frame of a video that a job planned or a model saw.';
COMMENT ON COLUMN frames.video_id IS 'The video';
COMMENT ON COLUMN frames.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN frames.pts IS 'Presentation time, ticks of the video''s time base';
COMMENT ON COLUMN frames.time_offset_s IS 'Presentation time, seconds after the first frame';

CREATE TABLE inferences (
    video_id     VARCHAR NOT NULL,
    frame_offset BIGINT NOT NULL,
    model_digest VARCHAR NOT NULL,
    model_id     VARCHAR NOT NULL,
    status       VARCHAR NOT NULL,
    gap_reason   VARCHAR,
    infer_s      FLOAT NOT NULL,
    job_id       VARCHAR
);
COMMENT ON TABLE inferences IS 'Grain: one frame by one model digest: the frame ledger. Every planned frame ends here as loaded or as a gap.';
COMMENT ON COLUMN inferences.video_id IS 'The video';
COMMENT ON COLUMN inferences.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN inferences.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN inferences.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN inferences.status IS 'loaded: the model answered, also when it found nothing; gap: it did not';
COMMENT ON COLUMN inferences.gap_reason IS 'Code of why there is a gap; null when loaded';
COMMENT ON COLUMN inferences.infer_s IS 'Seconds that inference took for the frame';
COMMENT ON COLUMN inferences.job_id IS 'Job that inferred it; null when unknown';

CREATE TABLE detections (
    video_id     VARCHAR NOT NULL,
    frame_offset BIGINT NOT NULL,
    model_digest VARCHAR NOT NULL,
    detection_id INTEGER NOT NULL,
    model_id     VARCHAR NOT NULL,
    class_id     INTEGER NOT NULL,
    class_name   VARCHAR NOT NULL,
    confidence   FLOAT NOT NULL,
    x            FLOAT NOT NULL,
    y            FLOAT NOT NULL,
    width        FLOAT NOT NULL,
    height       FLOAT NOT NULL,
    mask         VARCHAR,
    keypoints    STRUCT(class_id INTEGER, class_name VARCHAR, confidence FLOAT, x FLOAT, y FLOAT)[]
);
COMMENT ON TABLE detections IS 'Grain: one object that one model digest saw in one frame. Stored from a low confidence: apply your own threshold, for example confidence >= asked_confidence().';
COMMENT ON COLUMN detections.video_id IS 'The video';
COMMENT ON COLUMN detections.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN detections.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN detections.detection_id IS 'Index in the frame by falling confidence, from 0';
COMMENT ON COLUMN detections.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN detections.class_id IS 'Index of the class in the model''s labels';
COMMENT ON COLUMN detections.class_name IS 'Name of the class';
COMMENT ON COLUMN detections.confidence IS '0 to 1';
COMMENT ON COLUMN detections.x IS 'Centre of the box from the left, pixels of the upright frame';
COMMENT ON COLUMN detections.y IS 'Centre of the box from the top, pixels of the upright frame';
COMMENT ON COLUMN detections.width IS 'Width of the box, pixels of the upright frame';
COMMENT ON COLUMN detections.height IS 'Height of the box, pixels of the upright frame';
COMMENT ON COLUMN detections.mask IS 'COCO compressed run-length counts over the upright frame (videos.height x videos.width); null without a mask';
COMMENT ON COLUMN detections.keypoints IS 'Points of the object, pixels of the upright frame; class_id is the slot in the skeleton; null without keypoints';

CREATE TABLE usage (
    job_id       VARCHAR NOT NULL,
    model_id     VARCHAR NOT NULL,
    model_digest VARCHAR NOT NULL,
    kind         VARCHAR NOT NULL,
    n_planned    BIGINT NOT NULL,
    n_frames     BIGINT NOT NULL,
    n_gaps       BIGINT NOT NULL,
    infer_s      DOUBLE NOT NULL,
    decode_s     DOUBLE NOT NULL,
    bytes        BIGINT NOT NULL
);
COMMENT ON TABLE usage IS 'Grain: one model in one job: what was asked of it and what it cost. Sums over models are right: the cost of decoding is shared among them.';
COMMENT ON COLUMN usage.job_id IS 'The job';
COMMENT ON COLUMN usage.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN usage.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN usage.kind IS 'Kind of rows that it gives: detections ...';
COMMENT ON COLUMN usage.n_planned IS 'Frames that the job planned';
COMMENT ON COLUMN usage.n_frames IS 'Planned frames with an answer';
COMMENT ON COLUMN usage.n_gaps IS 'Planned frames without one';
COMMENT ON COLUMN usage.infer_s IS 'Seconds of inference';
COMMENT ON COLUMN usage.decode_s IS 'Seconds of decoding, the job''s divided by its models';
COMMENT ON COLUMN usage.bytes IS 'Bytes fetched, the job''s divided by its models';
