CREATE DATABASE IF NOT EXISTS bronze COMMENT 'What arrived, as it arrived';
CREATE DATABASE IF NOT EXISTS silver COMMENT 'Checked, typed, each quote once';
CREATE DATABASE IF NOT EXISTS gold COMMENT 'Answers';
