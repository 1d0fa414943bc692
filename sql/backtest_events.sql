-- Which errors does a rule count, and what does it look at in each? COPY takes no parameters: the columns,
-- the conditions and the order are filled in by src/store/history/statement.rs, which checks each literal.
copy (select {columns} from public.error_metrics m where {conditions} {order}) to stdout (format binary)
