-- Take a finding's rows out. Bound: ruleset_id, video_id.
DELETE FROM events WHERE ruleset_id = $ruleset_id AND video_id = $video_id;
DELETE FROM scenes WHERE ruleset_id = $ruleset_id AND video_id = $video_id;
DELETE FROM tracks WHERE ruleset_id = $ruleset_id AND video_id = $video_id;
DELETE FROM findings WHERE ruleset_id = $ruleset_id AND video_id = $video_id;
DELETE FROM rulesets WHERE ruleset_id NOT IN (SELECT ruleset_id FROM findings);
