-- One finding; earlier rows of the same ruleset and video go. Bound: every column of findings, kind, params, version;
-- tables incoming_events, incoming_scenes, incoming_tracks.
INSERT INTO findings BY NAME
SELECT
    $ruleset_id AS ruleset_id, $video_id AS video_id, $name AS name, $input_digest AS input_digest,
    $model_digests::VARCHAR[] AS model_digests, (SELECT count(*) FROM incoming_events) AS n_events,
    (SELECT count(*) FROM incoming_scenes) AS n_scenes,
    (SELECT count(DISTINCT tracker_id) FROM incoming_tracks) AS n_tracks, $judged_s AS judged_s,
    $unjudged_s AS unjudged_s, $made_at AS made_at, $first_at AS first_at;

-- Name and first use are those of all findings, so that the order in which they are loaded does not matter.
INSERT OR REPLACE INTO rulesets BY NAME
SELECT
    $ruleset_id AS ruleset_id, $kind AS kind, arg_max(name, (made_at, video_id)) AS name, $params::JSON AS params,
    $version AS version, min(first_at) AS first_used_at
FROM findings
WHERE ruleset_id = $ruleset_id;

INSERT INTO events BY NAME
SELECT
    event_id, $ruleset_id AS ruleset_id, $video_id AS video_id, kind, start_s AS time_offset_s, end_s,
    nullif(frame_offset, -1) AS frame_offset, nullif(tracker_id, -1) AS tracker_id,
    nullif(class_name, '') AS class_name, score, facts::JSON AS facts
FROM incoming_events;

INSERT INTO scenes BY NAME
SELECT
    $ruleset_id AS ruleset_id, $video_id AS video_id, scene_id, start_s, end_s, first_frame_offset, last_frame_offset,
    facts::JSON AS facts
FROM incoming_scenes;

INSERT INTO tracks BY NAME
SELECT
    $ruleset_id AS ruleset_id, $video_id AS video_id, model_digest, frame_offset, detection_id::INTEGER AS detection_id,
    tracker_id
FROM incoming_tracks;
