create table t (a integer primary key, b);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) insert into t select i, random() from n;
select count(*), sum(b % 1000), strftime('%s', 'now'), hex(randomblob(8)) from t;
create index i on t (b); select min(b) from t; vacuum; pragma integrity_check;
