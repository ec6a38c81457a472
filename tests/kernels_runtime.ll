; What numba's runtime would do: give memory with a count of references before it, and free it.

declare noalias ptr @malloc(i64)
declare void @free(ptr)

define noalias ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
  %wide = zext i32 %align to i64
  %more = add i64 %wide, 64
  %total = add i64 %size, %more
  %is_sane = icmp ult i64 %size, 4611686018427387904
  br i1 %is_sane, label %ask, label %none
ask:
  %block = call ptr @malloc(i64 %total)
  %is_null = icmp eq ptr %block, null
  br i1 %is_null, label %none, label %fill
fill:
  %address = ptrtoint ptr %block to i64
  %behind = add i64 %address, %more
  %rest = urem i64 %behind, %wide
  %start = sub i64 %behind, %rest
  %data = inttoptr i64 %start to ptr
  %data_at = getelementptr i64, ptr %block, i64 3
  %size_at = getelementptr i64, ptr %block, i64 4
  call void @llvm.memset.p0.i64(ptr %block, i8 0, i64 48, i1 false)
  store i64 1, ptr %block
  store ptr %data, ptr %data_at
  store i64 %size, ptr %size_at
  ret ptr %block
none:
  ret ptr null
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define void @NRT_MemInfo_call_dtor(ptr %block) {
  call void @free(ptr %block)
  ret void
}

; A call's arrays are its own thread's, so that its count of references needs no lock.
define void @NRT_incref(ptr %block) alwaysinline {
  %is_given = icmp eq ptr %block, null
  br i1 %is_given, label %done, label %count
count:
  %before = load i64, ptr %block
  %now = add i64 %before, 1
  store i64 %now, ptr %block
  br label %done
done:
  ret void
}

define void @NRT_decref(ptr %block) alwaysinline {
  %is_given = icmp eq ptr %block, null
  br i1 %is_given, label %done, label %count
count:
  %before = load i64, ptr %block
  %now = sub i64 %before, 1
  store i64 %now, ptr %block
  %is_last = icmp eq i64 %now, 0
  br i1 %is_last, label %last, label %done
last:
  call void @NRT_MemInfo_call_dtor(ptr %block)
  br label %done
done:
  ret void
}

define void @curate_release(ptr %block) {
  call void @NRT_decref(ptr %block)
  ret void
}
